"""What examples do to the costs of commands."""

import math
from collections import defaultdict

import pytest

from soripan.asr.acceptor import OPEN, Acceptor
from soripan.asr.weights import weigh

WORDS = ["", "티비", "켜", "줘", "켜줘", "소리", "올려", "HDMI"]
TV, ON, PLEASE, ON_PLEASE, SOUND, UP, HDMI = range(1, 8)
COMMANDS = Acceptor(
    {
        (0, 1, TV),
        (0, 1, HDMI),
        (1, 2, ON),
        (2, 3, PLEASE),
        (1, 3, ON_PLEASE),
        (0, 4, SOUND),
        (4, 3, UP),
        (4, 5, OPEN),
        (5, 3, ON),
    },
    {2, 3},
    6,
)


def probabilities(*examples: str) -> dict[tuple[int, int, int], float]:
    costs = weigh(COMMANDS, examples, WORDS)
    return {arc: math.exp(-cost) for arc, cost in costs.items()}


@pytest.mark.parametrize("examples", [(), ("티비 켜",), ("티비 켜 줘", "소리 올려", "모르는 말")])
def test_what_leaves_a_state_makes_up_1(examples: tuple[str, ...]) -> None:
    totals: dict[int, float] = defaultdict(float)
    for (source, _, _), probability in probabilities(*examples).items():
        totals[source] += probability
    assert set(totals) == {0, 1, 2, 4, 5}
    assert list(totals.values()) == pytest.approx([1.0] * 5)


def test_without_examples_all_is_equally_likely() -> None:
    even = probabilities()
    assert [even[0, 1, TV], even[0, 1, HDMI], even[0, 4, SOUND]] == pytest.approx([1 / 3] * 3)


def test_what_is_said_more_costs_less() -> None:
    said = probabilities(*["티비 켜"] * 9)
    assert said[0, 1, TV] == pytest.approx((9 + 1) / (9 + 3))
    assert said[0, 4, SOUND] == pytest.approx(1 / 12)


def test_spellings_share_an_example() -> None:
    said = probabilities(*["티비 켜 줘"] * 6)
    assert said[1, 2, ON] == pytest.approx((3 + 1.5) / (6 + 3))
    assert said[1, 3, ON_PLEASE] == said[1, 2, ON]


def test_latin_words_and_white_space() -> None:
    assert probabilities(*["hdmi켜"] * 9)[0, 1, HDMI] == pytest.approx(10 / 12)


@pytest.mark.parametrize("example", ["티비", "켜 줘", "소리 아무거나 켜", "냉장고 켜"])
def test_what_is_no_command_counts_for_nothing(example: str) -> None:
    assert probabilities(example) == probabilities()
