"""English sentences for what was understood in Korean."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.nlu import templates
from soripan.nlu.intents import INTENTS, Intent
from soripan.nlu.render import Renderer
from support.language import load_parser, load_templates


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(load_templates("en"), load_templates("ko"))


@pytest.mark.parametrize(
    ("korean", "english"),
    [
        ("제빙기 켜 줘", "turn on the ice maker"),
        ("급속 냉동 꺼 줘", "turn off power freeze"),
        ("티비 켜 줘", "turn on the tv"),
        ("냉장고 삼 도로 맞춰 줘", "set the fridge to 3 degrees"),
        ("냉동실 십팔 도로 맞춰 줘", "set the freezer to -18 degrees"),
        ("냉장실 영하 오 도로 맞춰 줘", "set the fridge to -5 degrees"),
        ("냉동실 온도 올려 줘", "turn up the freezer temperature"),
        ("냉동실 몇 도야", "what is the freezer temperature"),
        ("냉장고 문 열려 있어", "is the fridge door open"),
        ("볼륨 이십으로 해 줘", "set the volume to 20"),
        ("음소거 해제", "unmute the tv"),
        ("채널 백이 번", "change the channel to 102"),
        ("다음 채널", "switch to the next channel"),
        ("외부 입력 이", "switch to hdmi 2"),
        ("디즈니 플러스 틀어 줘", "open disney plus"),
        ("한 시간 반 타이머", "set a timer for 1 hour 30 minutes"),
        ("두 시간 일 분 십 초 타이머", "set a timer for 2 hours 1 minute 10 seconds"),
        ("라면 타이머 삼 분", "set the ramen timer to 3 minutes"),
        ("갈비찜 타이머 삼 분", "set the 갈비찜 timer to 3 minutes"),
        ("라면 타이머 꺼", "cancel the ramen timer"),
        ("우유 추가해 줘", "add milk to the shopping list"),
        ("사과 세 개 추가해 줘", "add 3 apples to the shopping list"),
        ("우유 한 병이랑 계란 두 판 주문해 줘", "order 1 bottle of milk and 2 trays of eggs"),
        ("장바구니에 두부조림 두 팩 담아 줘", "add 2 packs of 두부조림 to the shopping list"),
        (
            "우유 한 병 계란 한 판 두부 두 모 사과 세 개 빵 두 봉지 주문해 줘",
            "order 1 bottle of milk and 1 tray of eggs and 2 blocks of tofu and 3 apples "
            "and 2 bags of bread",
        ),
        ("알렉사한테 내일 날씨 물어봐 줘", "ask alexa 내일 날씨"),
    ],
)
def test_says_it_in_english(renderer: Renderer, korean: str, english: str) -> None:
    parse = load_parser("ko").parse(korean)
    assert parse is not None
    assert renderer.render(parse.intent) == english


def test_a_name_belongs_to_its_slot(renderer: Renderer) -> None:
    """계란 is a timer's name ("egg") and a thing to buy ("eggs")."""
    item = {"name": "계란", "quantity": 1}
    assert renderer.render(Intent("ShoppingOrder", {"items": [item]})) == "order eggs"
    timer = Intent("StartTimer", {"seconds": 60, "name": "계란"})
    assert renderer.render(timer) == "set the egg timer to 1 minute"


def test_what_no_sentence_can_say_is_written_as_it_is(renderer: Renderer) -> None:
    intent = Intent("SetVolume", {"value": 100_000})
    assert renderer.render(intent) == "SetVolume(value=100000)"
    assert renderer.render(Intent("NoSuchIntent", {})) == "NoSuchIntent()"


def test_permutations_are_said_in_order(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en/a.yaml").write_text(
        "language: en\nintents: {GetTime: {data: [{sentences: ['(what time;is it)']}]}}\n"
    )
    renderer = Renderer(templates.load(tmp_path, "en"))
    assert renderer.render(Intent("GetTime")) == "what time is it"


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "quantity", "unit", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_names = st.sampled_from(sorted(INTENTS)) | st.text(max_size=5)
_slots = st.dictionaries(
    st.sampled_from(["items", "seconds", "value", "zone", "name", "text", "assistant", "app"]),
    _values,
    max_size=3,
)


@given(_names, _slots)
def test_never_raises_and_says_the_same_again(name: str, slots: dict[str, Any]) -> None:
    renderer = Renderer(load_templates("en"), load_templates("ko"))
    said = renderer.render(Intent(name, slots))
    assert said
    assert renderer.render(Intent(name, slots)) == said
