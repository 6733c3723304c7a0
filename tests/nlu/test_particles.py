"""Korean particles fit the word before them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.nlu.particles import PARTICLES, choose


@pytest.mark.parametrize(
    ("word", "object_", "towards"),
    [
        ("우유", "를", "로"),
        ("빵", "을", "으로"),
        ("쌀", "을", "로"),
        ("서울", "을", "로"),
        ("냉장고", "를", "로"),
        ("0", "을", "으로"),
        ("1", "을", "로"),
        ("2", "를", "로"),
        ("3", "을", "으로"),
        ("4", "를", "로"),
        ("5", "를", "로"),
        ("6", "을", "으로"),
        ("7", "을", "로"),
        ("8", "을", "로"),
        ("9", "를", "로"),
        ("10", "을", "으로"),
        ("18", "을", "로"),
        ("100", "을", "으로"),
        ("TV", "를", "로"),
        ("HDMI 1", "을", "로"),
        ("URL", "을", "로"),
        ("FM", "을", "으로"),
        ("Netflix", "를", "로"),
        ("YouTube", "를", "로"),
        ("Google", "을", "로"),
        ("Wi-Fi", "를", "로"),
        ("pudding", "을", "으로"),
        ("ham", "을", "으로"),
        ("“우유 두 병”", "을", "으로"),
        ("우유(1L)", "을", "로"),
        ("", "를", "로"),
    ],
)
def test_choose(word: str, object_: str, towards: str) -> None:
    assert choose("을/를", word) == object_
    assert choose("으로/로", word) == towards


@given(st.sampled_from(sorted(PARTICLES)), st.text())
def test_it_is_always_one_of_the_pair(particle: str, before: str) -> None:
    assert choose(particle, before) in particle.split("/")
