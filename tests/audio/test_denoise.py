"""Noise is taken out, speech stays."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soripan.audio.denoise import NoiseSuppressor
from soripan.audio.frame import FRAME_SAMPLES, SAMPLE_RATE, Samples

SPEECH = Path(__file__).parent / "commands/035_Mute_kumo.flac"


def noise(seconds: float, level: float = 500.0) -> Samples:
    white = np.random.default_rng(1).normal(0.0, level, round(seconds * SAMPLE_RATE))
    return white.astype(np.int16)


def run(level: int, sound: Samples) -> Samples:
    suppressor = NoiseSuppressor(level)
    frames = sound[: sound.size // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return np.concatenate([suppressor.process(frame) for frame in frames])


def power(sound: Samples) -> float:
    return float(np.mean(sound.astype(np.float64) ** 2))


def test_steady_noise_goes() -> None:
    sound = noise(4.0)
    assert power(run(3, sound)[-SAMPLE_RATE:]) < 0.05 * power(sound)


def test_speech_stays() -> None:
    speech, _ = soundfile.read(SPEECH, dtype="int16")
    noisy = np.concatenate([noise(2.0, 50.0), speech])
    clean = run(3, noisy)[2 * SAMPLE_RATE :]
    assert power(clean) > 0.5 * power(speech)


def test_nothing_is_taken_out_at_level_0() -> None:
    sound = noise(0.5)
    np.testing.assert_array_equal(run(0, sound), sound[: sound.size // 1280 * 1280])


@pytest.mark.parametrize("level", [0, 3])
def test_blocks_must_be_whole(level: int) -> None:
    with pytest.raises(ValueError, match="whole blocks of 160"):
        NoiseSuppressor(level).process(noise(0.5)[:1000])
    assert NoiseSuppressor(level).process(noise(0.5)[:0]).size == 0
