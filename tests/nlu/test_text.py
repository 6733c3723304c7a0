"""How text is written before it is compared."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.nlu.text import normalise


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  냉장고   온도를\t맞춰 줘. ", "냉장고 온도를 맞춰 줘"),
        (unicodedata.normalize("NFD", "냉장고"), "냉장고"),
        ("HDMI", "hdmi"),
        ("[11] 번, (십) 번!", "11 번 십 번"),
        ("low-fat – milk", "low fat milk"),
        ("What’s the time?", "what's the time"),
        ("'hello' she said", "hello she said"),
        ("1.5 liters. 3:30", "1.5 liters 3:30"),
        ("set it to 3.", "set it to 3"),
        ("…", ""),
    ],
)
def test_normalise(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text())
def test_what_is_normal_stays_so(text: str) -> None:
    normal = normalise(text)
    assert normalise(normal) == normal
    assert normal == " ".join(normal.split())
