"""A session ends when it should, whatever the recogniser does.

The recogniser is scripted here: what it says of each frame is what is tested.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.asr.recogniser import Alternative, Transcript, Word
from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, Frame, Samples, level
from soripan.config import AsrSettings
from soripan.dialog.session import Session, Utterance
from soripan.wake.detector import WakeWord

NOTHING = Transcript(())
SETTINGS = AsrSettings()
WAKE = WakeWord("hey_jarvis", "panel", 0.9, 10.0)


def said(*words: tuple[str, float, float], confidence: float = 1.0) -> Transcript:
    """A transcript with one reading; each word with its begin and end."""
    return Transcript((Alternative(tuple(Word(*word) for word in words), confidence),))


@dataclass
class Scripted:
    """A recogniser that answers as it was told, frame after frame, and then stays silent."""

    endpoints: dict[int, Transcript]
    partials: Sequence[str] = ()
    last: Transcript = NOTHING
    started: int = 0
    frames: int = -1
    samples: int = 0

    def start(self) -> None:
        self.started += 1

    def accept(self, samples: Samples) -> Transcript | None:
        self.samples += len(samples)
        if len(samples) != FRAME_SAMPLES:  # the pre-roll
            return None
        self.frames += 1
        return self.endpoints.get(self.frames)

    def partial(self) -> str:
        return self.partials[self.frames] if self.frames < len(self.partials) else ""

    def finish(self) -> Transcript:
        return self.last


def never(_text: str) -> bool:
    return False


def session(
    script: Scripted,
    wake: WakeWord | None = None,
    pre_roll: int = 0,
    settled: Callable[[str], bool] = never,
) -> Session:
    recogniser: Any = script
    begin = wake.at if wake else 0.0
    return Session(recogniser, SETTINGS, wake, np.zeros(pre_roll, np.int16), begin, settled)


def run(listening: Session, seconds: float) -> Utterance | None:
    """Feed sound until the session ends, but at most so much."""
    silence = np.zeros(FRAME_SAMPLES, np.int16)
    for number in range(round(seconds / FRAME_SECONDS)):
        ended = listening.feed(Frame(silence, listening.begin + number * FRAME_SECONDS))
        if ended is not None:
            return ended
    return None


def test_no_speech() -> None:
    ended = run(session(Scripted({}), WAKE), 60)
    assert ended is not None
    assert (ended.reason, ended.transcript, ended.wake) == ("no_speech", NOTHING, WAKE)
    assert SETTINGS.no_speech <= ended.ended - WAKE.at < SETTINGS.no_speech + 2 * FRAME_SECONDS


def test_who_speaks_is_heard_out_but_not_for_ever() -> None:
    last = said(("티비", 1.0, 1.5), ("켜", 14.0, 14.5))
    ended = run(session(Scripted({}, ["티비"] * 1000, last)), 60)
    assert ended is not None
    assert (ended.reason, ended.transcript) == ("too_long", last)
    assert SETTINGS.longest <= ended.ended < SETTINGS.longest + 2 * FRAME_SECONDS


def test_noise_that_becomes_no_words_is_no_speech() -> None:
    ended = run(session(Scripted({}, ["음"] * 1000)), 60)
    assert ended is not None
    assert (ended.reason, ended.transcript) == ("no_speech", NOTHING)


def test_the_endpoint_ends_it_and_the_times_are_those_of_the_source() -> None:
    script = Scripted({24: said(("티비", 0.5, 0.9), ("켜", 1.0, 1.3))})
    ended = run(session(script, WAKE, pre_roll=1600), 60)
    assert ended is not None
    assert (ended.reason, ended.transcript.text) == ("endpoint", "티비 켜")
    assert ended.speech_end == pytest.approx(WAKE.at - 0.1 + 1.3)
    assert ended.ended == pytest.approx(WAKE.at + 25 * FRAME_SECONDS)
    assert script.started == 1
    assert script.samples == 1600 + 25 * FRAME_SAMPLES


def test_words_before_the_wake_word_are_left_out() -> None:
    script = Scripted({30: said(("자비스", 0.0, 0.18), ("티비", 0.3, 0.6), ("켜", 0.6, 1.0))})
    ended = run(session(script, WAKE, pre_roll=3200), 60)
    assert ended is not None
    assert ended.transcript.text == "티비 켜"


def test_an_endpoint_after_the_wake_word_alone_is_none() -> None:
    wake_word = said(("자비스", 0.0, 0.2))
    script = Scripted({10: wake_word, 40: said(("티비", 2.6, 2.9), ("켜", 2.9, 3.2))})
    ended = run(session(script, WAKE, pre_roll=3200), 60)
    assert ended is not None
    assert (ended.reason, ended.transcript.text) == ("endpoint", "티비 켜")
    assert ended.ended == pytest.approx(WAKE.at + 41 * FRAME_SECONDS)


def test_readings_that_become_the_same_are_one() -> None:
    readings = Transcript(
        (
            Alternative((Word("가", 0.0, 0.1), Word("켜", 0.5, 0.8)), 0.4),
            Alternative((Word("꺼", 0.5, 0.8),), 0.35),
            Alternative((Word("나", 0.0, 0.1), Word("켜", 0.5, 0.8)), 0.25),
        )
    )
    ended = run(session(Scripted({9: readings}), WAKE, pre_roll=3200), 60)
    assert ended is not None
    found = [(a.text, round(a.confidence, 6)) for a in ended.transcript.alternatives]
    assert found == [("켜", 0.65), ("꺼", 0.35)]


@pytest.mark.parametrize("reason", ["stopped", "muted"])
def test_somebody_else_ends_it(reason: str) -> None:
    last = said(("티비", 0.5, 0.9))
    ended = session(Scripted({}, last=last)).finish(2.0, reason)
    assert (ended.reason, ended.transcript, ended.ended) == (reason, last, 2.0)
    assert session(Scripted({})).finish(2.0, reason).reason == "no_speech"


words = st.builds(
    lambda text, start, length: (text, start, start + length),
    st.sampled_from(["티비", "켜", "자비스"]),
    st.floats(0, 16),
    st.floats(0, 1),
)
transcripts = st.one_of(
    st.just(NOTHING), st.lists(words, min_size=1, max_size=4).map(lambda w: said(*w))
)


@given(
    st.dictionaries(st.integers(0, 200), transcripts, max_size=8),
    st.lists(st.sampled_from(["", "티비"]), max_size=200),
    transcripts,
    st.sampled_from([None, WAKE]),
    st.integers(0, 16_000).filter(lambda n: n != FRAME_SAMPLES),
)
def test_it_always_ends_in_time(
    endpoints: dict[int, Transcript],
    partials: list[str],
    last: Transcript,
    wake: WakeWord | None,
    pre_roll: int,
) -> None:
    listening = session(Scripted(endpoints, partials, last), wake, pre_roll)
    ended = run(listening, 60)
    assert ended is not None
    assert ended.ended - listening.begin < SETTINGS.longest + FRAME_SECONDS + 1e-6
    assert (ended.reason == "no_speech") == (not ended.transcript.text)


# A command that is complete is done without waiting for the endpoint.

WAIT = round(SETTINGS.complete / FRAME_SECONDS)
TONE = (3000 * np.sin(np.arange(FRAME_SAMPLES) * 0.3)).astype(np.int16)
HUSH = (20 * np.sin(np.arange(FRAME_SAMPLES) * 0.3)).astype(np.int16)


def feed(listening: Session, sound: str) -> tuple[int, Utterance] | None:
    """Feed frames of sound (``x``) and of quiet (``.``); return the number of the frame in which
    the utterance ended, and the utterance."""
    for number, kind in enumerate(sound):
        samples = TONE if kind == "x" else HUSH
        utterance = listening.feed(Frame(samples, listening.begin + number * FRAME_SECONDS))
        if utterance is not None:
            return number, utterance
    return None


def test_a_settled_command_ends_after_a_short_silence() -> None:
    # The last word is written two frames after it was said.
    script = Scripted({}, ["", "티비", "티비 켜", "티비 켜", "티비 켜", *["티비 켜줘"] * 20])
    script.last = said(("티비", 0.1, 0.3), ("켜줘", 0.3, 0.6))
    ended = feed(session(script, settled={"티비 켜줘"}.__contains__), "xxxx" + "." * 20)
    assert ended is not None
    assert ended[0] == 3 + WAIT
    assert (ended[1].reason, ended[1].transcript.text) == ("complete", "티비 켜줘")


def test_what_may_go_on_waits_for_the_endpoint() -> None:
    script = Scripted({9: said(("볼륨", 0.1, 0.3), ("이십", 0.3, 0.6))}, ["볼륨 이십"] * 20)
    ended = feed(session(script), "xxxx" + "." * 20)
    assert ended is not None
    assert (ended[0], ended[1].reason) == (9, "endpoint")


def test_a_pause_ends_anything() -> None:
    script = Scripted({}, ["오늘 날씨"] * 40)
    script.last = said(("오늘", 0.1, 0.3), ("날씨", 0.3, 0.6))
    ended = feed(session(script), "xxxx" + "." * 30)
    assert ended is not None
    assert (ended[0], ended[1].reason) == (3 + round(SETTINGS.pause / FRAME_SECONDS), "endpoint")


def test_where_noise_hides_the_silence_the_recogniser_says_when() -> None:
    script = Scripted({20: said(("티비", 0.1, 0.3), ("켜", 0.3, 0.6))}, ["티비 켜"] * 40)
    ended = feed(session(script, settled=lambda _: True), "x" * 40)
    assert ended is not None
    assert (ended[0], ended[1].reason) == (20, "endpoint")


def test_who_goes_on_speaking_is_not_interrupted() -> None:
    script = Scripted({}, ["티비 켜"] * 30)
    script.last = said(("티비", 0.1, 0.3), ("켜", 0.3, 0.4))
    sound = "xxx" + "." * (WAIT - 1) + "x" * 10 + "." * WAIT
    ended = feed(session(script, settled=lambda _: True), sound)
    assert ended is not None
    assert ended[0] == len(sound) - 1


def test_a_settled_rest_of_the_wake_word_ends_nothing() -> None:
    script = Scripted({30: said(("켜줘", 2.2, 2.4))}, ["그만"] * (1 + WAIT))
    script.last = said(("그만", 0.0, 0.1))  # before the wake word ended
    listening = session(script, WAKE, pre_roll=16_000, settled={"그만"}.__contains__)
    ended = feed(listening, "x" + "." * 40)
    assert ended is not None
    assert (ended[0], ended[1].reason) == (30, "endpoint")
    assert script.started == 2


def test_a_yes_to_nothing_ends_nothing() -> None:
    script = Scripted({12: said(("어", 0.5, 0.6)), 30: said(("켜줘", 2.2, 2.4))}, ["어"] * 12)
    listening = session(script, WAKE)
    listening.idle = lambda transcript: transcript.text == "어"
    ended = feed(listening, "x" + "." * 40)
    assert ended is not None
    assert (ended[0], ended[1].transcript.text) == (30, "켜줘")


def test_is_it_settled_is_asked_once_for_each_text() -> None:
    asked: list[str] = []

    def settled(text: str) -> bool:
        asked.append(text)
        return False

    script = Scripted({}, ["티비"] * 7 + ["티비 소리"] * 10)
    feed(session(script, settled=settled), "x" + "." * 9)
    assert asked == ["티비", "티비 소리"]


def test_how_much_louder_the_words_are() -> None:
    script = Scripted({30: said(("응", 0.8, 1.12))})
    ended = feed(session(script), "." * 10 + "xxxx" + "." * 20)
    assert ended is not None
    loud, quiet = level(TONE), level(HUSH)
    assert ended[1].contrast == pytest.approx(loud - quiet)


def test_what_is_loud_elsewhere_makes_no_word_loud() -> None:
    script = Scripted({30: said(("응", 0.8, 1.12))})
    ended = feed(session(script), "xx" + "." * 40)
    assert ended is not None
    assert ended[1].contrast == pytest.approx(0.0, abs=0.1)


def test_the_microphone_tells_how_loud_not_what_the_recogniser_gets() -> None:
    script = Scripted({30: said(("응", 0.8, 1.12))})
    listening = session(script)
    for number in range(40):
        frame = Frame(TONE if 10 <= number < 14 else HUSH, number * FRAME_SECONDS)
        if (ended := listening.feed(frame, TONE)) is not None:
            break
    assert ended is not None
    assert ended.contrast == pytest.approx(0.0, abs=0.1)
