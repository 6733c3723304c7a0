"""The real wake-word models, on synthetic voices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soripan.asr.models import ModelStore
from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE, Frame, Samples
from soripan.config import WakeWordSettings
from soripan.exc import ModelError
from soripan.wake.detector import WakeWord
from soripan.wake.openwakeword import OpenWakeWordDetector

RECORDINGS = sorted((Path(__file__).parents[1] / "audio/wake").glob("*.flac"))
WORDS = [
    WakeWordSettings(model="hey_jarvis_v0.1", assistant="panel"),
    WakeWordSettings(model="alexa_v0.1", assistant="alexa"),
]
ENOUGH = 17
"""Of the 20 recordings; some voices have an accent that the models were not taught."""


@pytest.fixture(scope="module")
def detector(models: ModelStore) -> OpenWakeWordDetector:
    return make(models, WORDS)


def make(models: ModelStore, words: Sequence[WakeWordSettings]) -> OpenWakeWordDetector:
    return OpenWakeWordDetector(
        words,
        [models.path(word.model) for word in words],
        models.path("melspectrogram"),
        models.path("embedding_model"),
    )


def hear(detector: OpenWakeWordDetector, samples: Samples) -> list[WakeWord]:
    """What is heard in a sound that begins at 0, with a second of silence after it."""
    detector.reset()
    whole = np.concatenate([samples, np.zeros(SAMPLE_RATE, np.int16)])
    heard = (
        detector.process(Frame(whole[n : n + FRAME_SAMPLES], n / SAMPLE_RATE))
        for n in range(0, len(whole) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    )
    return [each for each in heard if each is not None]


def read(path: Path) -> Samples:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == SAMPLE_RATE
    return np.asarray(samples, np.int16)


def test_wake_words_are_heard_once_and_for_what_they_are(detector: OpenWakeWordDetector) -> None:
    assert len(RECORDINGS) == 20
    found = 0
    for path in RECORDINGS:
        word = "alexa" if path.name.startswith("alexa") else "hey_jarvis"
        samples = read(path)
        heard = hear(detector, samples)
        assert [each.name for each in heard] in ([], [word]), path.name
        found += len(heard)
        for each in heard:
            assert each.assistant == {"alexa": "alexa", "hey_jarvis": "panel"}[word]
            assert 0.5 <= each.score <= 1.0
            assert 0 < each.at <= len(samples) / SAMPLE_RATE + 1.0
    assert found >= ENOUGH


@pytest.mark.parametrize("level", [0, 100, 3_000])
def test_silence_and_noise_are_no_wake_words(detector: OpenWakeWordDetector, level: int) -> None:
    noise = np.random.default_rng(1).normal(0, level, 10 * SAMPLE_RATE)
    assert hear(detector, noise.clip(-32768, 32767).astype(np.int16)) == []


def test_after_a_reset_the_past_does_not_count(models: ModelStore) -> None:
    words = [word.__class__(model=word.model, threshold=0.0, refractory=0.0) for word in WORDS]
    detector = make(models, words)
    sound = read(RECORDINGS[0])
    fresh = hear(detector, sound)
    assert len(fresh) == len(np.arange(0, len(sound) + SAMPLE_RATE - FRAME_SAMPLES + 1, 1280))
    hear(detector, np.random.default_rng(2).normal(0, 5_000, SAMPLE_RATE).astype(np.int16))
    assert hear(detector, sound) == fresh, "the same sound scores the same each time"


def test_the_refractory_time_counts_in_frames_of_sound(models: ModelStore) -> None:
    words = [WakeWordSettings(model="alexa_v0.1", threshold=0.0, refractory=1.0)]
    moments = [each.at for each in hear(make(models, words), np.zeros(64_000, np.int16))]
    assert len(moments) >= 4
    assert np.diff(moments) == pytest.approx(13 * FRAME_SECONDS)


def test_no_model(models: ModelStore, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"no model")
    with pytest.raises(ModelError, match="soripan models verify"):
        OpenWakeWordDetector(
            WORDS[:1], [wrong], models.path("melspectrogram"), models.path("embedding_model")
        )
