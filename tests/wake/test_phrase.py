"""Any words as a wake word: with a real model, and what is made of its readings."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from soripan import config, ears
from soripan.asr.models import ModelStore
from soripan.asr.recogniser import Alternative, Transcript, Word
from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE, Frame
from soripan.config import Config, WakeSettings, WakeWordSettings
from soripan.exc import TemplateError
from soripan.wake.detector import WakeWord, WakeWordDetector
from soripan.wake.phrase import PhraseDetector

AUDIO = Path(__file__).parents[1] / "audio"
PHRASE = "하이 소리"
WORDS = [
    WakeWordSettings(phrase=PHRASE, assistant="panel"),
    WakeWordSettings(phrase="안녕 알렉사", assistant="alexa"),
]


def settings(config_file: Path, words: list[WakeWordSettings]) -> Config:
    loaded = config.load(config_file)
    wake = WakeSettings(engine="phrase", words=words)
    replaced = msgspec.structs.replace(loaded.settings, wake=wake)
    return msgspec.structs.replace(loaded, settings=replaced)


@pytest.fixture(scope="module")
def detector(models: ModelStore, korean_model: Path) -> WakeWordDetector:
    shipped = settings(config.default_config_file(), WORDS)
    return ears.open_detector(shipped, models, print)


def hear(detector: WakeWordDetector, name: str) -> list[WakeWord]:
    samples, _ = soundfile.read(AUDIO / name, dtype="int16")
    samples = np.pad(samples, (0, SAMPLE_RATE + -samples.size % FRAME_SAMPLES))
    detector.reset()
    frames = (
        Frame(samples[at : at + FRAME_SAMPLES], at / SAMPLE_RATE)
        for at in range(0, samples.size - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    )
    return [hit for frame in frames if (hit := detector.process(frame)) is not None]


@pytest.mark.parametrize("path", sorted((AUDIO / "phrase").glob("*.flac")), ids=lambda p: p.stem)
def test_it_is_heard_once(detector: WakeWordDetector, path: Path) -> None:
    (hit,) = hear(detector, f"phrase/{path.name}")
    assert (hit.name, hit.assistant) == (PHRASE, "panel")
    assert 0.5 <= hit.score <= 1.0
    speech_end = soundfile.info(path).duration - 0.6
    assert speech_end - 0.2 < hit.at < speech_end + 0.7


@pytest.mark.parametrize("name", ["other/01_gongitsune.flac", "commands/035_Mute_kumo.flac"])
def test_other_speech_is_no_phrase(detector: WakeWordDetector, name: str) -> None:
    assert hear(detector, name) == []


def test_a_word_that_the_model_lacks(config_file: Path, models: ModelStore) -> None:
    wrong = settings(config_file, [WakeWordSettings(phrase="hey fridgie")])
    with pytest.raises(TemplateError, match=r"does not know “(hey|fridgie)”"):
        ears.open_detector(wrong, models, print)


# With a recogniser that says what it was told.


class Scripted:
    def __init__(self, partials: list[str], readings: dict[str, float]) -> None:
        self.partials = partials
        self.readings = readings
        self.starts = 0

    def start(self) -> None:
        self.starts += 1

    def accept(self, _samples: object) -> Transcript | None:
        return None

    def partial(self) -> str:
        return self.partials.pop(0) if len(self.partials) > 1 else self.partials[0]

    def finish(self) -> Transcript:
        return Transcript(
            tuple(
                Alternative(tuple(Word(word, 0.0, 0.1) for word in text.split()), confidence)
                for text, confidence in self.readings.items()
            )
        )


def process(script: Scripted, frames: int, refractory: float = 2.0) -> list[WakeWord]:
    recogniser: Any = script
    word = WakeWordSettings(phrase=PHRASE, threshold=0.5, refractory=refractory)
    detector = PhraseDetector([word], recogniser)
    silence = np.zeros(FRAME_SAMPLES, np.int16)
    hits = (detector.process(Frame(silence, n * FRAME_SECONDS)) for n in range(frames))
    return [hit for hit in hits if hit is not None]


@pytest.mark.parametrize(
    ("readings", "heard"),
    [
        ({"하이 소리": 0.6, "아이 소리": 0.4}, True),
        ({"아 하이 소리": 0.3, "하이 소리": 0.3, "아이 소리": 0.4}, True),
        ({"하이 소리": 0.4, "아이 소리": 0.6}, False),
        ({}, False),
    ],
)
def test_enough_of_the_readings_must_agree(readings: dict[str, float], heard: bool) -> None:
    hits = process(Scripted(["", "하이", "하이 소리", ""], readings), 6)
    assert [hit.at for hit in hits] == ([pytest.approx(3 * FRAME_SECONDS)] if heard else [])


def test_it_is_not_heard_again_at_once() -> None:
    partials = ["하이 소리", "", "하이 소리", "", "하이 소리", ""]
    again = Scripted(partials, {"하이 소리": 1.0})
    assert len(process(again, 6, refractory=3 * FRAME_SECONDS)) == 2


def test_what_the_recogniser_remembers_has_an_end() -> None:
    script = Scripted([""], {})
    process(script, round(35 / FRAME_SECONDS))
    assert script.starts == 1 + 3
