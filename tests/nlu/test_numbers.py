"""Numbers as they are spoken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.nlu.numbers import (
    DEFAULT_NUMERALS,
    MINUS,
    NUMERALS,
    ends_in_number,
    spoken,
    starts_with_number,
)


@pytest.mark.parametrize(
    ("number", "numerals", "words"),
    [
        (0, "sino", ["영", "0"]),
        (1, "sino", ["일", "1"]),
        (10, "sino", ["십", "10"]),
        (18, "sino", ["십팔", "18"]),
        (100, "sino", ["백", "100"]),
        (111, "sino", ["백십일", "111"]),
        (999, "sino", ["구백구십구", "999"]),
        (1, "native", ["한", "하나", "1"]),
        (2, "native", ["두", "둘", "2"]),
        (5, "native", ["다섯", "5"]),
        (20, "native", ["스무", "스물", "20"]),
        (21, "native", ["스물한", "스물하나", "21"]),
        (99, "native", ["아흔아홉", "99"]),
        (0, "english", ["zero", "0"]),
        (25, "english", ["twenty five", "25"]),
        (100, "english", ["one hundred", "100"]),
        (102, "english", ["one hundred two", "one hundred and two", "102"]),
    ],
)
def test_spoken(number: int, numerals: str, words: list[str]) -> None:
    assert [word.replace(" ", "") for word in spoken(number, numerals)] == [
        word.replace(" ", "") for word in words
    ]


@given(st.integers(0, 10_000), st.sampled_from(sorted(NUMERALS)))
def test_the_last_way_is_digits_and_no_way_comes_twice(number: int, numerals: str) -> None:
    ways = list(spoken(number, numerals))
    assert ways[-1] == str(number)
    assert len(set(ways)) == len(ways) >= 2


@pytest.mark.parametrize(("numerals", "most"), [("sino", 10_000), ("native", 99), ("english", 999)])
def test_no_two_numbers_are_said_alike(numerals: str, most: int) -> None:
    meant: dict[str, int] = {}
    for number in range(most + 1):
        for way in spoken(number, numerals):
            assert meant.setdefault(way.replace(" ", ""), number) == number


def test_every_language_has_numbers_and_a_minus() -> None:
    assert set(DEFAULT_NUMERALS) == set(MINUS)
    assert set(DEFAULT_NUMERALS.values()) <= set(NUMERALS)


@pytest.mark.parametrize(
    ("language", "one", "other", "within"),
    [
        ("ko", "이", "십오로", True),
        ("ko", "채널이백", "이", True),
        ("ko", "스물", "세", True),
        ("ko", "채널", "이십", False),
        ("ko", "이십", "번", False),
        ("en", "to twenty", "five percent", True),
        ("en", "tone", "five", False),
        ("en", "twenty", "fivefold", False),
        ("en", "2", "5", True),
    ],
)
def test_within_a_number(language: str, one: str, other: str, within: bool) -> None:
    assert (ends_in_number(one, language) and starts_with_number(other, language)) == within
