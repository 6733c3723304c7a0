"""The gate before a wake-word detector: alone, and with the real models on synthetic voices."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soripan.asr.models import ModelStore
from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE, Frame, Samples
from soripan.config import WakeWordSettings
from soripan.wake.detector import WakeWord, WakeWordDetector
from soripan.wake.gate import EnergyGate
from soripan.wake.openwakeword import FEATURE_MODELS, OpenWakeWordDetector

RECORDINGS = sorted((Path(__file__).parents[1] / "audio/wake").glob("*.flac"))
WORDS = [
    WakeWordSettings(model="hey_jarvis_v0.1", assistant="panel"),
    WakeWordSettings(model="alexa_v0.1", assistant="alexa"),
]
PRE_ROLL, HANG, REST = 5, 10, 25


class Counting(WakeWordDetector):
    """Remembers which frames it got; hears a word in the frames of ``hits``."""

    def __init__(self, *hits: int) -> None:
        self.got: list[int] = []
        self.resets = 0
        self._hits = hits

    def process(self, frame: Frame) -> WakeWord | None:
        number = round(frame.start / FRAME_SECONDS)
        self.got.append(number)
        return WakeWord("alexa", "alexa", 0.9, frame.end) if number in self._hits else None

    def reset(self) -> None:
        self.resets += 1


def make(detector: WakeWordDetector) -> EnergyGate:
    return EnergyGate(
        detector,
        margin=6.0,
        rise=1.0,
        pre_roll=PRE_ROLL * FRAME_SECONDS,
        hang=HANG * FRAME_SECONDS,
        rest=REST * FRAME_SECONDS,
    )


def noise(frames: int, level_db: float, seed: int = 0) -> Samples:
    white = np.random.default_rng(seed).normal(0, 32_768 * 10 ** (level_db / 20), frames * 1280)
    return white.clip(-32_768, 32_767).astype(np.int16)


def hear(detector: WakeWordDetector, *pieces: Samples, at: int = 0) -> list[WakeWord]:
    """What is heard in the pieces, one after the other; the first begins at frame ``at``."""
    whole = np.concatenate(pieces)
    hits = (
        detector.process(Frame(whole[n : n + FRAME_SAMPLES], at * FRAME_SECONDS + n / SAMPLE_RATE))
        for n in range(0, whole.size - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    )
    return [hit for hit in hits if hit is not None]


@pytest.mark.parametrize("quiet", [np.zeros(1000 * 1280, np.int16), noise(1000, -60)])
def test_quiet_costs_nothing(quiet: Samples) -> None:
    inner = Counting()
    hear(make(inner), quiet)
    assert inner.got == list(range(HANG)), "open at first, because there is no floor yet"


def test_a_sound_opens_the_gate_and_what_was_just_before_it_comes_first() -> None:
    inner = Counting()
    hear(make(inner), noise(100, -60), noise(10, -40), noise(50, -60))
    first = list(range(HANG))
    assert inner.got == first + list(range(100 - PRE_ROLL, 110 + HANG))


def test_nothing_is_run_twice_and_everything_in_order() -> None:
    inner = Counting()
    random = np.random.default_rng(3)
    lengths = random.integers(1, 30, 120)
    hear(make(inner), *(noise(int(n), (-60, -30)[i % 2], i) for i, n in enumerate(lengths)))
    assert inner.got == sorted(set(inner.got))


def test_sound_from_the_first_frame() -> None:
    inner = Counting()
    hear(make(inner), noise(HANG, -20))
    assert inner.got == list(range(HANG))


def test_steady_noise_closes_the_gate_and_speech_over_it_opens_it() -> None:
    inner = Counting()
    gate = make(inner)
    hear(gate, noise(100, -60), noise(500, -35))
    # It is 25 dB louder; at 1 dB/s the floor is within the margin after 19 s.
    last = inner.got[-1]
    assert 100 + 225 < last < 100 + 260
    inner.got.clear()
    hear(gate, noise(5, -27), at=600)
    assert inner.got == list(range(600 - PRE_ROLL, 605))


def test_the_floor_falls_at_once() -> None:
    inner = Counting()
    gate = make(inner)
    hear(gate, noise(100, -30), noise(30, -60))
    inner.got.clear()
    hear(gate, noise(1, -45), at=200)
    assert inner.got == [*range(130 - PRE_ROLL, 130), 200]


def test_what_is_below_the_quietest_is_no_sound() -> None:
    inner = Counting()
    hear(make(inner), np.zeros(50 * 1280, np.int16), noise(50, -76), np.zeros(1280, np.int16))
    assert inner.got == list(range(HANG))


def test_it_stays_open_after_a_hit() -> None:
    inner = Counting(101)
    hits = hear(make(inner), noise(100, -60), noise(2, -40), noise(50, -60))
    assert [hit.at for hit in hits] == pytest.approx([102 * FRAME_SECONDS])
    assert inner.got[-1] == 101 + REST


def test_a_hit_in_a_frame_from_the_quiet_keeps_its_time() -> None:
    hits = hear(make(Counting(97)), noise(100, -60), noise(1, -40))
    assert [hit.at for hit in hits] == pytest.approx([98 * FRAME_SECONDS])


def test_after_a_reset_the_past_does_not_count() -> None:
    inner = Counting()
    gate = make(inner)
    hear(gate, noise(100, -60))
    gate.reset()
    inner.got.clear()
    assert inner.resets == 1
    hear(gate, noise(5, -60), at=200)
    assert inner.got == list(range(200, 205)), "nothing from before, and open"
    hear(gate, noise(50, -60), at=205)
    assert inner.got == list(range(200, 200 + HANG))


def test_what_is_heard_without_the_gate_is_heard_with_it(models: ModelStore) -> None:
    detector = OpenWakeWordDetector(
        WORDS,
        [models.path(word.model) for word in WORDS],
        *(models.path(name) for name in FEATURE_MODELS),
    )
    gate = EnergyGate(detector)
    assert len(RECORDINGS) == 20
    for number, path in enumerate(RECORDINGS):
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == SAMPLE_RATE
        quiet = np.zeros(25 * 1280, np.int16)
        loud = _loudness(samples) - 10.0
        for hum in (quiet, noise(25, loud, number)):
            sound = samples + np.resize(hum, samples.size).astype(np.int32)
            sound = sound.clip(-32_768, 32_767).astype(np.int16)
            gate.reset()
            if not hear(gate, hum, sound, hum[: 10 * 1280]):
                detector.reset()
                assert not hear(detector, hum, sound, hum[: 10 * 1280]), path.name


def _loudness(samples: Samples) -> float:
    """dB of full scale, of the half second that is loudest."""
    powers = np.convolve(samples.astype(np.float64) ** 2, np.ones(8_000) / 8_000, "valid")
    return float(10 * np.log10(powers.max() / 32_768**2))
