"""What the panel answers."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.appliances.appliance import REFUSALS, Appliance
from soripan.appliances.fridge import Fridge
from soripan.appliances.tv import Tv
from soripan.dialog.responses import Responses
from soripan.exc import ConfigError
from soripan.nlu.intents import Intent
from support.language import LANGUAGE_FOLDER, LANGUAGES


@pytest.fixture(params=LANGUAGES)
def shipped(request: pytest.FixtureRequest) -> Responses:
    return Responses(LANGUAGE_FOLDER, request.param)


@pytest.fixture(scope="module")
def korean() -> Responses:
    return Responses(LANGUAGE_FOLDER, "ko")


@pytest.fixture(scope="module")
def english() -> Responses:
    return Responses(LANGUAGE_FOLDER, "en")


def test_all_languages_say_the_same(korean: Responses, english: Responses) -> None:
    assert korean.placeholders == english.placeholders


@pytest.mark.parametrize("kind", [Fridge, Tv])
def test_there_is_a_sentence_for_all_an_appliance_answers(
    shipped: Responses, kind: type[Appliance]
) -> None:
    assert kind.responses | REFUSALS <= set(shipped.placeholders)


# What else the code asks for, with what it knows then.
KNOWN: dict[str, set[str]] = {
    "turned_on": {"target"},
    "turned_off": {"target"},
    "temperature_set": {"zone", "value"},
    "temperature_is": {"zone", "value"},
    "door_open": {"zone"},
    "door_closed": {"zone"},
    "volume_set": {"value"},
    "volume_highest": {"value"},
    "volume_lowest": {"value"},
    "channel_set": {"number"},
    "input_set": {"input"},
    "app_launched": {"app"},
    "out_of_range": {"property", "value", "low", "high", "unit"},
    "not_allowed": {"property"},
    "read_only": {"property"},
    "tv_off": {"property"},
    "hardware": set(),
    "timer_started": {"duration"},
    "timer_started_named": {"duration", "name"},
    "timer_cancelled": {"duration"},
    "timer_cancelled_named": {"duration", "name"},
    "timer_status": {"duration"},
    "timer_status_named": {"duration", "name"},
    "timer_done": {"duration"},
    "timer_done_named": {"duration", "name"},
    "timer_done_late": {"duration"},
    "timer_done_late_named": {"duration", "name"},
    "no_timer": set(),
    "too_many_timers": {"limit"},
    "timer_out_of_range": {"low", "high"},
    "help": set(),
    "stop": set(),
    "yes": set(),
    "no": set(),
    "repeat_nothing": set(),
    "no_speech": set(),
    "not_understood": set(),
    "no_broker": set(),
    "broker": set(),
    "queue_full": set(),
    "microphone": set(),
    "shopping_sent": {"items", "assistant"},
    "order_sent": {"items", "assistant"},
    "unresolved_sent": {"assistant"},
    "directed_sent": {"assistant"},
    "home_sent": {"assistant"},
}


@pytest.mark.parametrize("key", sorted(KNOWN))
def test_a_sentence_says_only_what_is_known(shipped: Responses, key: str) -> None:
    assert shipped.placeholders[key] <= KNOWN[key]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_can_be_said(language: str) -> None:
    responses = Responses(LANGUAGE_FOLDER, language)
    for key, names in responses.placeholders.items():
        said = responses.text(key, **dict.fromkeys(names, 3))
        assert said == said.strip()
        assert not re.search(r"[{}]|  ", said), said


@pytest.mark.parametrize(
    ("key", "values", "ko", "en"),
    [
        ("turned_on", {"target": "ice_maker"}, "제빙기를 켰어요.", "The ice maker is on."),
        (
            "temperature_set",
            {"zone": "freezer", "value": -18},
            "냉동실 온도를 -18도로 맞췄어요.",
            "The freezer is set to -18 degrees.",
        ),
        (
            "temperature_is",
            {"zone": "fridge", "value": 1},
            "냉장실 온도는 1도예요.",
            "The fridge is set to 1 degree.",
        ),
        ("volume_set", {"value": 20}, "소리를 20으로 맞췄어요.", "The volume is 20."),
        ("volume_set", {"value": 18}, "소리를 18로 맞췄어요.", "The volume is 18."),
        ("volume_highest", {"value": 100}, None, "That is as loud as it gets: 100."),
        ("input_set", {"input": "hdmi1"}, "입력을 HDMI 1로 바꿨어요.", "The input is HDMI 1."),
        ("app_launched", {"app": "youtube"}, "유튜브를 틀었어요.", "Opening YouTube."),
        ("app_launched", {"app": "tving"}, "티빙을 틀었어요.", "Opening TVING."),
        ("app_launched", {"app": "other"}, "other를 틀었어요.", "Opening other."),
        (
            "out_of_range",
            {"property": "freezer_temperature", "value": 5, "low": -23, "high": -15, "unit": "°C"},
            "냉동실 온도는 -23도부터 -15도까지만 돼요.",
            "The freezer temperature goes from -23°C to -15°C.",
        ),
        (
            "out_of_range",
            {"property": "volume", "value": 70, "low": 0, "high": 60, "unit": ""},
            "소리는 0부터 60까지만 돼요.",
            "The volume goes from 0 to 60.",
        ),
        (
            "timer_started_named",
            {"name": "라면", "duration": "3분"},
            "라면 타이머를 3분으로 시작했어요.",
            None,
        ),
    ],
)
def test_text(
    korean: Responses,
    english: Responses,
    key: str,
    values: dict[str, Any],
    ko: str | None,
    en: str | None,
) -> None:
    for responses, expected in ((korean, ko), (english, en)):
        if expected is not None:
            assert responses.text(key, **values) == expected


@pytest.mark.parametrize(
    ("seconds", "ko", "en"),
    [
        (0, "0초", "0 seconds"),
        (1, "1초", "1 second"),
        (90, "1분 30초", "1 minute 30 seconds"),
        (3600, "1시간", "1 hour"),
        (5400, "1시간 30분", "1 hour 30 minutes"),
        (86_399, "23시간 59분 59초", "23 hours 59 minutes 59 seconds"),
    ],
)
def test_duration(korean: Responses, english: Responses, seconds: int, ko: str, en: str) -> None:
    assert korean.duration(seconds) == ko
    assert english.duration(seconds) == en


@given(st.integers(1, 86_400))
def test_durations_differ(seconds: int) -> None:
    responses = Responses(LANGUAGE_FOLDER, "ko")
    units = {"시간": 3600, "분": 60, "초": 1}
    parts = re.findall(r"(\d+)(시간|분|초)", responses.duration(seconds))
    assert sum(int(count) * units[unit] for count, unit in parts) == seconds


@pytest.mark.parametrize(
    ("hour", "minute", "ko", "en"),
    [
        (0, 0, "오전 12시예요.", "It is 12 AM."),
        (9, 5, "오전 9시 5분이에요.", "It is 9:05 AM."),
        (12, 30, "오후 12시 30분이에요.", "It is 12:30 PM."),
        (23, 59, "오후 11시 59분이에요.", "It is 11:59 PM."),
    ],
)
def test_time(
    korean: Responses, english: Responses, hour: int, minute: int, ko: str, en: str
) -> None:
    assert korean.time(hour, minute) == ko
    assert english.time(hour, minute) == en


def test_date(korean: Responses, english: Responses) -> None:
    assert korean.date(2025, 7, 4, 4) == "2025년 7월 4일 금요일이에요."
    assert english.date(2025, 7, 4, 4) == "It is Friday, July 4, 2025."


def test_items(korean: Responses, english: Responses) -> None:
    items = [
        {"name": "우유", "quantity": 2, "unit": "병"},
        {"name": "사과", "quantity": 3},
        {"name": "빵", "quantity": 1},
    ]
    assert korean.items(items) == "우유 2병, 사과 3개, 빵"
    items = [
        {"name": "milk", "quantity": 2, "unit": "box"},
        {"name": "rice", "quantity": 1, "unit": "bag"},
        {"name": "eggs", "quantity": 12},
    ]
    assert english.items(items) == "2 boxes of milk, 1 bag of rice and 12 eggs"
    assert english.items(items[:1]) == "2 boxes of milk"
    assert english.items([]) == ""


def test_sent(korean: Responses, english: Responses) -> None:
    items = {"items": [{"name": "우유", "quantity": 2, "unit": "병"}]}
    order, add = Intent("ShoppingOrder", items), Intent("ShoppingAdd", items)
    said = korean.sent("shopping", "alexa", order)
    assert said == "우유 2병을 주문해 달라고 알렉사에 전했어요."
    assert korean.sent("shopping", "alexa", add) != said
    assert korean.sent("unresolved", "google", None) == "구글에 물어볼게요."
    asked = Intent("AskAssistant", {"assistant": "alexa", "text": "날씨"})
    assert korean.sent("directed", "alexa", asked) == "알렉사에 전했어요."
    assert korean.sent("directed", "alexa", None) == "알렉사에 전했어요."
    elsewhere = Intent("TurnOn", {"target": "tv"})
    assert english.sent("directed", "home", elsewhere) == english.text("home_sent")
    assert english.sent("directed", "clova", asked) == "I told clova."


def make(folder: Path, text: str) -> Responses:
    (folder / "ko").mkdir(exist_ok=True)
    (folder / "ko/responses.toml").write_text(text, encoding="utf-8")
    return Responses(folder, "ko")


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("a = 3", "a", "must be text"),
        ('a = "{b"', "a", "stands alone"),
        ('a = "b}"', "a", "stands alone"),
        ('a = "{{b}}"', "a", "stands alone"),
        ('a = "{을를}"', "a", "neither a value nor a particle"),
        ('a = "{를/을}"', "a", "neither a value nor a particle"),
        ('a = "{b!r}"', "a", "neither a value nor a particle"),
        ('a = "{b:2}"', "a", "neither a value nor a particle"),
        ('a = "{}"', "a", "neither a value nor a particle"),
        ("a = ", "", "is not TOML"),
        ("words = 3", "words", "must hold tables"),
        ("[words]\nb = 3", "words.b", "must be a table"),
        ("[words.b]\nc = 3", "words.b.c", "must be text"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, key: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(tmp_path, text)
    assert problem in str(caught.value)
    assert caught.value.key == key
    assert caught.value.path == tmp_path / "ko/responses.toml"


def test_a_language_without_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"responses\.toml: no such file"):
        Responses(tmp_path, "ko")


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    responses = make(tmp_path, 'a = "{b}"')
    assert responses.text("a", b=1, c=2) == "1"
    with pytest.raises(ConfigError, match=r"a: \{b\} is not known here"):
        responses.text("a", c=2)
    with pytest.raises(ConfigError, match="x: there is no such sentence"):
        responses.text("x")


def test_braces_in_a_value_are_only_text(tmp_path: Path) -> None:
    responses = make(tmp_path, 'a = "{b}{을/를} 하나"')
    assert responses.text("a", b="{c} 값") == "{c} 값을 하나"
