"""Every value has one text, and no other text gets a value in."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soripan.appliances.property import Choice, Contact, Number, OnOff, Property
from soripan.exc import PropertyValueError

TEMPERATURE = Number("freezer_temperature", -18, low=-23, high=-15, unit="°C")
VOLUME = Number("volume", 20, low=0, high=100)
POWER = OnOff("power", default=False)
DOOR = Contact("fridge_door")
INPUT = Choice("input", "tv", choices=("tv", "hdmi1", "hdmi2"))

VALUES: list[tuple[Property[Any], list[Any]]] = [
    (TEMPERATURE, list(range(-23, -14))),
    (VOLUME, list(range(101))),
    (POWER, [False, True]),
    (DOOR, ["open", "closed"]),
    (INPUT, ["tv", "hdmi1", "hdmi2"]),
]

NUMBER_LIKE = st.from_regex(r"[ +\-]{0,2}[0-9０-９]{1,4}(\.0|e1|_0| )?", fullmatch=True)


@pytest.mark.parametrize(("prop", "values"), VALUES, ids=lambda each: getattr(each, "name", ""))
def test_format_then_parse_gives_the_value_back(prop: Property[Any], values: list[Any]) -> None:
    texts = [prop.format(value) for value in values]
    assert [prop.parse(text) for text in texts] == values
    assert len(set(texts)) == len(values)


@pytest.mark.parametrize(("prop", "values"), VALUES, ids=lambda each: getattr(each, "name", ""))
@given(text=st.one_of(st.text(max_size=8), NUMBER_LIKE, st.integers(-200, 200).map(str)))
@example("-0")
@example("3\n")
@example("９")
@example("9" * 5000)
def test_a_text_is_the_one_of_a_value_or_refused(
    prop: Property[Any], values: list[Any], text: str
) -> None:
    if text in map(prop.format, values):
        assert prop.format(prop.parse(text)) == text
        return
    with pytest.raises(PropertyValueError) as caught:
        prop.parse(text)
    assert caught.value.values["property"] == prop.name


@pytest.mark.parametrize(
    "text", ["", "3.0", " 3", "3 ", "+3", "03", "３", "3°C", "three", "-0", "-"]
)
def test_a_number_has_no_other_spelling(text: str) -> None:
    with pytest.raises(PropertyValueError) as caught:
        VOLUME.parse(text)
    assert caught.value.code == "not_allowed"


@pytest.mark.parametrize("text", ["ON", "On", "true", "1", "yes", "", "on "])
def test_on_has_no_other_spelling(text: str) -> None:
    with pytest.raises(PropertyValueError, match="on or off"):
        POWER.parse(text)


@pytest.mark.parametrize(("value", "inside"), [(-24, 0), (-23, 1), (-15, 1), (-14, 0)])
def test_limits_belong_to_the_range(value: int, inside: int) -> None:
    if inside:
        assert TEMPERATURE.check(value) == value
        return
    with pytest.raises(PropertyValueError) as caught:
        TEMPERATURE.check(value)
    assert caught.value.code == "out_of_range"
    assert caught.value.values == {
        "property": "freezer_temperature",
        "value": value,
        "low": -23,
        "high": -15,
        "unit": "°C",
    }


@pytest.mark.parametrize("value", [True, 3.0, "３", None])
def test_check_refuses_what_is_no_whole_number(value: Any) -> None:
    with pytest.raises(PropertyValueError):
        VOLUME.check(value)


def test_a_refused_choice_names_the_choices() -> None:
    with pytest.raises(PropertyValueError) as caught:
        INPUT.parse("hdmi9")
    assert caught.value.code == "not_allowed"
    assert caught.value.values == {
        "property": "input",
        "value": "hdmi9",
        "allowed": "tv, hdmi1, hdmi2",
    }


def test_a_default_must_be_a_value() -> None:
    with pytest.raises(PropertyValueError):
        Number("volume", 101, low=0, high=100)
