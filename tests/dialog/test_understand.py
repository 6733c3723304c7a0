"""Which of the readings of an utterance counts."""

import pytest

from soripan.asr.recogniser import Alternative, Transcript, Word
from soripan.dialog.understand import Understood, is_answer, is_certain, understand
from soripan.nlu.intents import Intent
from support.language import load_parser

COMMAND, SAME, OTHER, TALK = "티비 켜 줘", "텔레비전 켜", "티비 꺼 줘", "치즈 비싸더라"


def readings(*scored: tuple[str, float, float]) -> Transcript:
    """A transcript; each reading with its score and its confidence."""
    return Transcript(
        tuple(
            Alternative(tuple(Word(word, 0.0, 0.1) for word in text.split()), confidence, score)
            for text, score, confidence in scored
        )
    )


def choose(*scored: tuple[str, float, float]) -> Understood:
    return understand(readings(*scored), load_parser("ko"), margin=3.0)


def test_the_likeliest_command_counts() -> None:
    assert choose((COMMAND, 50.0, 0.9), (OTHER, 48.0, 0.1)).text == COMMAND


@pytest.mark.parametrize(("behind", "command"), [(0.1, True), (2.9, True), (3.1, False)])
def test_a_command_may_be_a_little_less_likely_than_talk(behind: float, command: bool) -> None:
    understood = choose((TALK, 50.0, 0.7), (COMMAND, 50.0 - behind, 0.3))
    assert understood.text == (COMMAND if command else TALK)
    assert (understood.intent is not None) == command
    assert understood.confidence == pytest.approx(0.3 if command else 0.7)


def test_talk_is_as_sure_as_its_words_are() -> None:
    understood = choose(
        ("치즈 너무 비싸", 50.0, 0.4), ("치즈 너무 비싸더라", 49.5, 0.35), ("쥐 무", 49, 0.25)
    )
    assert understood.confidence == pytest.approx((0.75 + 0.75 + 0.4) / 3)


def test_readings_that_mean_the_same_agree() -> None:
    understood = choose((COMMAND, 50.0, 0.4), (OTHER, 49.8, 0.35), (SAME, 49.5, 0.25))
    assert understood.intent is not None
    assert understood.confidence == pytest.approx(0.65)


def test_nothing() -> None:
    assert choose() == Understood("", 0.0, None)


@pytest.mark.parametrize(
    ("scored", "answer"),
    [
        ([("응", 50.0, 0.9)], True),
        ([("음", 50.0, 0.6), ("어", 49.0, 0.4)], True),
        ([(COMMAND, 50.0, 0.9), ("응", 49.0, 0.1)], False),
        ([(TALK, 50.0, 0.9)], False),
        ([], False),
    ],
)
def test_what_only_answers(scored: list[tuple[str, float, float]], answer: bool) -> None:
    assert is_answer(readings(*scored), load_parser("ko"), 3.0) == answer


@pytest.mark.parametrize(
    ("confidence", "seconds", "contrast", "certain"),
    [
        (0.9, 0.4, 30.0, True),
        (0.4, 0.4, 30.0, False),  # it could be anything
        (0.9, 0.05, 30.0, False),  # a knock
        (0.9, 0.4, 6.0, False),  # a fan
    ],
)
def test_what_is_certain(confidence: float, seconds: float, contrast: float, certain: bool) -> None:
    yes = Understood("응", confidence, Intent("Yes"), seconds)
    assert is_certain(yes, contrast) == certain
