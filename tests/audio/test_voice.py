"""The voice: what is spoken when, and that it is heard."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soxr

from soripan.audio import voice
from soripan.audio.frame import SAMPLE_RATE, Samples
from soripan.audio.loudspeaker import Loudspeaker, Sound
from soripan.audio.speech import Synthesiser
from soripan.audio.voice import Voice, sentences
from soripan.events import (
    Action,
    Error,
    Event,
    EventBus,
    Listening,
    Question,
    ReplyReady,
    RequestMade,
    TimerDone,
    Wake,
)
from support.sound import SPEAKER, SoundServer, correlation


class ByHand(Loudspeaker):
    """Plays one sound at a time, when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.sounds: list[Sound] = []
        self.heard: list[str] = []

    def play(self, sound: Sound) -> None:
        self.sounds.append(sound)

    def finish(self) -> None:
        """The sound that is being played ends, or is broken off."""
        sound = self.sounds.pop(0)
        if not sound.cancelled:
            samples, _ = sound.make()
            self.heard.append("".join(map(chr, samples)))
        sound.done(sound)

    def finish_all(self) -> list[str]:
        while self.sounds:
            self.finish()
        return self.heard


class Letters(Synthesiser):
    """Makes a sound in which the text can be read."""

    def speak(self, text: str) -> tuple[Samples, int]:
        return np.array([ord(letter) for letter in text], np.int16), SAMPLE_RATE


@pytest.fixture
def speaker() -> ByHand:
    return ByHand()


@pytest.fixture
def bus(speaker: ByHand) -> EventBus:
    return spoken(speaker)[0]


def spoken(speaker: ByHand) -> tuple[EventBus, Voice]:
    bus = EventBus()
    return bus, Voice(bus, speaker, Letters([], 1.0))


WAKE = Wake(wake_word="alexa", assistant="alexa", score=1.0)


def listening(state: str) -> Listening:
    return Listening(state=state)


@pytest.mark.parametrize(
    "event",
    [
        Action(intent="TurnOn", speech="ok"),
        RequestMade(id="1", assistant="alexa", kind="shopping", text="", speech="ok"),
        Question(about="order", speech="ok"),
        ReplyReady(id="1", assistant="alexa", status="ok", speech="ok"),
        TimerDone(name=None, seconds=60, speech="ok"),
        Error(code="no_speech", message="nothing was said", speech="ok"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_is_said_is_spoken(event: Event, bus: EventBus, speaker: ByHand) -> None:
    bus.publish(event)
    assert speaker.finish_all() == ["ok"]


def test_an_error_of_which_nothing_is_said_is_not_spoken(bus: EventBus, speaker: ByHand) -> None:
    bus.publish(Error(code="microphone", message="the microphone is gone"))
    assert speaker.finish_all() == []


def test_one_sentence_after_the_other(bus: EventBus, speaker: ByHand) -> None:
    bus.publish(Action(intent="TurnOn", speech="One. Two? Three"))
    bus.publish(Action(intent="TurnOn", speech="Four"))
    assert len(speaker.sounds) == 1
    assert speaker.finish_all() == ["One.", "Two?", "Three", "Four"]


def test_the_question_of_an_assistant_is_spoken_once(bus: EventBus, speaker: ByHand) -> None:
    bus.publish(ReplyReady(id="1", assistant="alexa", status="ok", speech="Yes. Which one?"))
    bus.publish(Question(about="alexa", speech="Yes. Which one?"))
    assert speaker.finish_all() == ["Yes.", "Which one?"]


def test_what_was_said_may_be_said_again(bus: EventBus, speaker: ByHand) -> None:
    for _ in range(2):
        bus.publish(Action(intent="TurnOn", speech="on"))
        speaker.finish_all()
    assert speaker.heard == ["on", "on"]


def test_a_wake_word_breaks_off_and_nothing_follows(bus: EventBus, speaker: ByHand) -> None:
    bus.publish(Action(intent="TurnOn", speech="One. Two."))
    bus.publish(WAKE)
    assert speaker.sounds[0].cancelled
    assert speaker.finish_all() == []


def test_who_speaks_to_the_panel_is_not_interrupted(bus: EventBus, speaker: ByHand) -> None:
    bus.publish(WAKE)
    bus.publish(listening("started"))
    bus.publish(ReplyReady(id="1", assistant="alexa", status="ok", speech="late"))
    assert speaker.finish_all() == []
    bus.publish(listening("ended"))
    bus.publish(Action(intent="TurnOn", speech="on"))
    assert speaker.finish_all() == ["late", "on"]


def test_too_much_is_dropped_and_said_so(
    bus: EventBus, speaker: ByHand, caplog: pytest.LogCaptureFixture
) -> None:
    bus.publish(listening("started"))
    for number in range(voice.WAITING + 3):
        bus.publish(Action(intent="TurnOn", speech=f"n{number}"))
    bus.publish(listening("ended"))
    assert speaker.finish_all() == [f"n{number}" for number in range(voice.WAITING)]
    assert caplog.text.count("too much is waiting") == 3


def test_it_knows_when_it_speaks(monkeypatch: pytest.MonkeyPatch, speaker: ByHand) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    bus, mouth = spoken(speaker)
    assert (mouth.speaking, mouth.words) == (False, "")
    bus.publish(Action(intent="TurnOn", speech="One. Two."))
    assert (mouth.speaking, mouth.words) == (True, "One.")
    speaker.finish()
    assert (mouth.speaking, mouth.words) == (True, "One. Two.")
    speaker.finish()
    assert (mouth.speaking, mouth.words) == (True, "Two.")
    now += voice.ECHO
    assert (mouth.speaking, mouth.words) == (False, "Two.")
    now += voice.NOTICED
    assert (mouth.speaking, mouth.words) == (False, "")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("네, 켰어요.", ["네, 켰어요."]),
        ("9,900원이에요. 살까요?", ["9,900원이에요.", "살까요?"]),
        ("1.5 L", ["1.5 L"]),
        ("", []),
        ("\x00\n\u2028", []),
        ("one\ntwo\x1b[31m", ["one two [31m"]),
        ("say [[h@l'oU]]", ["say [ [h@l'oU]]"]),
        ("a" * 700, ["a" * 600]),
        (("b" * 99 + ". ") * 7, ["b" * 99 + "."] * 5),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


SPEAK = """
import json, sys, time
from soripan.audio.loudspeaker import Loudspeaker
from soripan.audio.speech import Synthesiser
from soripan.audio.voice import Voice
from soripan.events import Action, EventBus, Wake
bus = EventBus()
command, interrupt = json.loads(sys.argv[1]), float(sys.argv[2])
with Loudspeaker() as loudspeaker:
    voice = Voice(bus, loudspeaker, Synthesiser(command, 10))
    bus.publish(Action(intent="TurnOn", speech=sys.argv[3]))
    began = time.monotonic()
    while voice.speaking:
        if time.monotonic() - began > interrupt:
            bus.publish(Wake(wake_word="alexa", assistant="alexa", score=1.0))
            interrupt = 1e9
        time.sleep(0.01)
    print(time.monotonic() - began)
"""
ESPEAK = ["espeak-ng", "-v", "ko", "--stdin", "--stdout"]
LONG = "우유 두 병과 계란 한 판과 사과 다섯 개와 바나나 한 송이를 주문할까요?"


def speak(text: str, tmp_path: Path, interrupt: float = 1e9) -> tuple[Samples, float]:
    """What is heard of a text, and how long the voice says that it speaks."""
    record = ["parec", f"--device={SPEAKER}.monitor", "--rate=16000", "--channels=1"]
    with SoundServer() as server, (tmp_path / "heard").open("wb") as file:
        recording = subprocess.Popen([*record, "--latency-msec=20"], env=server.env, stdout=file)
        server.wait_until(lambda: (tmp_path / "heard").stat().st_size > 0)
        command = json.dumps(ESPEAK)
        done = subprocess.run(
            [sys.executable, "-c", SPEAK, command, str(interrupt), text],
            env=server.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        time.sleep(0.3)
        recording.terminate()
        recording.wait()
    return np.frombuffer((tmp_path / "heard").read_bytes(), np.int16), float(done.stdout)


def test_is_heard(tmp_path: Path) -> None:
    sound, rate = Synthesiser(ESPEAK, 10).speak(LONG)
    heard, _ = speak(LONG, tmp_path)
    assert correlation(heard, soxr.resample(sound, rate, SAMPLE_RATE)) > 0.8


def test_is_broken_off(tmp_path: Path) -> None:
    sound, rate = Synthesiser(ESPEAK, 10).speak(LONG)
    heard, seconds = speak(LONG, tmp_path, interrupt=1.0)
    loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > 300)
    assert loud.size
    assert (loud[-1] - loud[0]) / SAMPLE_RATE < 0.7 * sound.size / rate
    assert seconds < sound.size / rate
