"""From a sentence to an assistant and back: the panel, its outbox, a broker and bridges."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from soripan import config
from soripan.config import MqttSettings, RouterSettings, ShoppingSettings
from soripan.decide import Result
from soripan.events import Error, Question, ReplyReady, RequestMade
from support.assistant import Assistant
from support.broker import Broker, Monitor
from support.kitchen import Kitchen

REQUESTS = "soripan/kitchen/request/"


@pytest.fixture
def kitchen(broker: Broker, tmp_path: Path, config_file: Path) -> Iterator[Callable[..., Kitchen]]:
    made: list[Kitchen] = []

    def make(**tables: Any) -> Kitchen:
        tables.setdefault("mqtt", MqttSettings(host=broker.host, port=broker.port))
        made.append(Kitchen(config_file, tmp_path, **tables))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_an_order_is_confirmed_sent_and_answered(
    broker: Broker, kitchen: Callable[..., Kitchen]
) -> None:
    with (
        Assistant(broker.port, "alexa") as alexa,
        Monitor(broker.host, broker.port, REQUESTS + "#") as monitor,
    ):
        here = kitchen()
        here.meet("alexa")
        asked = here.panel.say("우유 두 병 주문해 줘")
        assert (asked.decision, asked.asks) == ("local", True)
        assert asked.speech == "우유 2병을 주문할까요?"
        assert [event.about for event in here.told(Question)] == ["order"]
        assert not alexa.requests
        result = here.panel.say("응")
        assert (result.decision, result.kind, result.assistant) == ("away", "shopping", "alexa")
        assert result.speech == "우유 2병을 주문해 달라고 알렉사에 전했어요."
        message = monitor.wait_for(REQUESTS + "alexa")
        request = json.loads(message.text)
        assert request["items"] == [{"name": "우유", "quantity": 2, "unit": "병"}]
        assert (request["kind"], request["intent"]) == ("shopping", "ShoppingOrder")
        assert (message.qos, message.expiry) == (1, None)
        assert message.response_topic == request["reply_to"] == "soripan/kitchen/reply"
        assert message.correlation == request["id"].encode()
        assert here.reply().speech == "알렉사의 대답이에요. 우유 두 병 주문해 줘 했어요."
        assert [entry["status"] for entry in here.shopping] == ["confirmed"]
        here.until(lambda: not here.kept)
    assert len(alexa.requests) == 1


@pytest.mark.parametrize(
    ("answers", "quantity"),
    [
        (["세 개로 해 줘", "응"], 3),
        (["아니 세 병으로 바꿔 줘", "네"], 3),
        (["아 그게 뭐더라", "응"], 2),
        (["아니"], None),
        (["그만"], None),
        ([""], None),
        (["아 그게 뭐더라", "글쎄 모르겠는데"], None),
        (["냉장고 온도 알려 줘", "응"], None),
        (["스물한 병으로 해 줘", "응"], 2),
        (["계란 한 판 주문해 줘", "응"], 1),
    ],
)
def test_answers(
    broker: Broker, kitchen: Callable[..., Kitchen], answers: list[str], quantity: int | None
) -> None:
    with Assistant(broker.port, "alexa") as alexa:
        here = kitchen()
        here.meet("alexa")
        here.panel.say("우유 두 병 주문해 줘")
        results = [here.panel.say(answer) for answer in answers]
        assert all(result.speech for result in results)
        assert not here.panel.asking
        if quantity is None:
            assert not here.told(RequestMade)
            assert any("주문하지 않았어요" in result.speech for result in results)
        else:
            here.reply()
            (request,) = alexa.requests
            assert [item["quantity"] for item in request["items"]] == [quantity]


def test_a_question_goes_to_who_is_there(broker: Broker, kitchen: Callable[..., Kitchen]) -> None:
    with Assistant(broker.port, "google") as google:
        here = kitchen()
        here.meet("google")
        time.sleep(1.0)  # until it is sure that alexa is not
        result = here.panel.say("우리 강아지가 어제 아팠어")
        assert (result.kind, result.assistant) == ("unresolved", "google")
        assert here.reply().assistant == "google"
        assert 0 < google.requests[0]["confidence"] <= 1
        assert "intent" not in google.requests[0]


def test_who_is_silent_is_passed_over_and_too_late(
    broker: Broker, kitchen: Callable[..., Kitchen]
) -> None:
    with (
        Assistant(broker.port, "alexa", lambda _: None) as alexa,
        Assistant(broker.port, "google") as google,
    ):
        here = kitchen(router=RouterSettings(deadline=0.5))
        here.meet("alexa", "google")
        here.panel.say("우리 강아지가 어제 아팠어")
        here.until(lambda: google.requests)
        assert here.told(RequestMade)[-1].speech == ("알렉사가 대답하지 않아서 구글에 물어볼게요.")
        assert alexa.requests[0]["id"] != google.requests[0]["id"]
        here.reply()
        alexa.reply(alexa.requests[0], status="ok", speech="이제 왔어요.")
        time.sleep(0.3)
        here.panel.attend()
        assert [reply.assistant for reply in here.told(ReplyReady)] == ["google"]


def test_who_cannot_do_it_is_passed_over(broker: Broker, kitchen: Callable[..., Kitchen]) -> None:
    with (
        Assistant(broker.port, "alexa", lambda _: {"status": "unsupported"}) as alexa,
        Assistant(broker.port, "google") as google,
    ):
        here = kitchen()
        here.meet("alexa", "google")
        here.panel.say("우유 두 병 주문해 줘")
        here.panel.say("응")
        assert here.reply().assistant == "google"
        assert (len(alexa.requests), len(google.requests)) == (1, 1)
        assert [entry["status"] for entry in here.shopping] == ["confirmed"]


def test_an_order_stays_with_whom_it_may_have_reached(
    broker: Broker, kitchen: Callable[..., Kitchen]
) -> None:
    with (
        Assistant(broker.port, "alexa", lambda _: None) as alexa,
        Assistant(broker.port, "google") as google,
    ):
        here = kitchen(router=RouterSettings(deadline=0.3))
        here.meet("alexa", "google")
        here.panel.say("우유 두 병 주문해 줘")
        here.panel.say("응")
        here.until(lambda: len(alexa.requests) >= 3)
        assert {request["id"] for request in alexa.requests} == {alexa.requests[0]["id"]}
        assert [request["attempt"] for request in alexa.requests[:3]] == [1, 2, 3]
        assert [error.code for error in here.told(Error)] == ["waiting"]  # once
        alexa.say("offline")
        here.until(lambda: here.client.bridge("alexa") is False)
        time.sleep(0.5)
        here.panel.attend()
        alexa.answer = lambda _: {"status": "ok"}
        alexa.say("online")
        assert here.reply().assistant == "alexa"
        assert not google.requests


def test_nobody_is_there(kitchen: Callable[..., Kitchen]) -> None:
    here = kitchen()
    here.until(lambda: here.client.connected)
    time.sleep(1.1)
    result = here.panel.say("구글한테 내일 날씨 물어봐 줘")
    assert (result.decision, result.speech) == (
        "rejected",
        "지금은 대답할 수 있는 곳이 없어요.",
    )
    here.panel.say("우유 두 병 주문해 줘")
    kept = here.panel.say("응")
    assert (kept.decision, kept.speech) == (
        "away",
        "지금은 연결이 안 돼요. 적어 두었다가 연결되면 보낼게요.",
    )
    assert here.panel.say("장보기 목록 알려 줘").speech == "아직 보내지 못한 주문은 우유 2병이에요."


def test_a_question_expires_and_that_is_said(kitchen: Callable[..., Kitchen]) -> None:
    here = kitchen(mqtt=MqttSettings(host="127.0.0.1", port=1), router=RouterSettings(expiry=1))
    assert here.panel.say("구글한테 내일 날씨 물어봐 줘").speech.startswith("지금은 연결이 안 돼요")
    here.until(lambda: here.told(Error))
    assert here.told(Error)[-1].code == "expired"
    assert here.told(Error)[-1].speech == "대답이 오지 않아서 그만둘게요."


def test_an_order_outlives_the_panel(
    broker: Broker, kitchen: Callable[..., Kitchen], tmp_path: Path
) -> None:
    here = kitchen(mqtt=MqttSettings(host="127.0.0.1", port=1))
    here.panel.say("우유 두 병 주문해 줘")
    here.panel.say("응")
    here.close()
    with Assistant(broker.port, "alexa") as alexa:
        again = kitchen()
        assert [entry["status"] for entry in again.shopping] == ["kept"]
        again.reply()
        assert len(alexa.requests) == 1
        assert [entry["status"] for entry in again.shopping] == ["confirmed"]


def test_what_an_assistant_asks_is_answered_to_it(
    broker: Broker, kitchen: Callable[..., Kitchen]
) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asks = len(google.requests) == 1
        return {
            "status": "ok",
            "speech": "어느 도시요?" if asks else "맑아요.",
            "expect_answer": asks,
        }

    with Assistant(broker.port, "google", answer) as google:
        here = kitchen()
        here.meet("google")
        here.panel.say("구글한테 내일 날씨 물어봐 줘")
        here.until(lambda: here.panel.asking)
        result = here.panel.say("부산이요")
        assert (result.kind, result.assistant) == ("directed", "google")
        here.until(lambda: len(here.told(ReplyReady)) == 2)
        assert google.requests[1]["text"] == "부산이요"
        assert google.requests[1]["session"] == google.requests[0]["session"]


def test_stop_stops_also_an_assistant(broker: Broker, kitchen: Callable[..., Kitchen]) -> None:
    asking = {"status": "ok", "speech": "어느 도시요?", "expect_answer": True}
    with Assistant(broker.port, "google", lambda _: asking) as google:
        here = kitchen()
        here.meet("google")
        here.panel.say("구글한테 내일 날씨 물어봐 줘")
        here.until(lambda: here.panel.asking)
        assert here.panel.say("그만").speech == "네, 그만할게요."
        assert not here.panel.asking
        assert len(google.requests) == 1


def test_stop_stops_also_what_was_asked(broker: Broker, kitchen: Callable[..., Kitchen]) -> None:
    with Assistant(broker.port, "google", lambda _: None) as google:
        here = kitchen()
        here.meet("google")
        here.panel.say("구글한테 내일 날씨 물어봐 줘")
        here.panel.say("장바구니에 우유 담아 줘")
        here.until(lambda: len(google.requests) == 1)
        here.panel.say("그만")
        google.reply(google.requests[0], status="ok", speech="맑아요.")
        time.sleep(0.3)
        here.panel.attend()
        assert not here.told(ReplyReady)
        assert [entry.request.kind for entry in here.kept] == ["shopping"]


def test_what_a_reply_does_is_done(broker: Broker, kitchen: Callable[..., Kitchen]) -> None:
    actions = [
        {"appliance": "tv", "property": "volume", "value": "7"},
        {"appliance": "tv", "property": "volume", "value": "700"},
        {"appliance": "oven", "property": "power", "value": "on"},
    ]
    with Assistant(broker.port, "google", lambda _: {"status": "ok", "actions": actions}):
        here = kitchen()
        here.meet("google")
        here.panel.appliances["tv"].set("power", "on")
        here.panel.say("구글한테 소리 칠로 해 달라고 해 줘")
        here.reply()
        assert here.panel.appliances["tv"].get("volume") == "7"
        assert len(here.told(Error)) == 2


def test_who_gives_no_reply_is_done_with_the_acknowledgement(
    broker: Broker, kitchen: Callable[..., Kitchen]
) -> None:
    settings = RouterSettings(
        unresolved=["nodered"],
        assistants={"nodered": config.AssistantSettings(presence=False, reply=False)},
    )
    with Monitor(broker.host, broker.port, REQUESTS + "#") as monitor:
        here = kitchen(router=settings)
        here.until(lambda: here.client.connected)
        here.panel.say("우리 강아지가 어제 아팠어")
        here.until(lambda: not here.kept)
        assert len(monitor.messages) == 1


def test_in_english(broker: Broker, kitchen: Callable[..., Kitchen]) -> None:
    with Assistant(broker.port, "alexa", lambda _: {"status": "ok"}) as alexa:
        here = kitchen(panel=config.PanelSettings(id="kitchen", language="en"))
        here.meet("alexa")
        said = [
            here.panel.say(text).speech
            for text in ("order two bottles of milk", "make it three", "yes")
        ]
        assert said == [
            "Shall I order 2 bottles of milk?",
            "Shall I order 3 bottles of milk?",
            "I asked Alexa to order 3 bottles of milk.",
        ]
        assert here.reply().speech == "Alexa took the order for 3 bottles of milk."
        assert alexa.requests[0]["language"] == "en"


def test_a_fault_of_the_disk_is_said(
    kitchen: Callable[..., Kitchen], caplog: pytest.LogCaptureFixture
) -> None:
    here = kitchen(mqtt=MqttSettings(host="127.0.0.1", port=1))
    database = here.outbox._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    results: list[Result] = []
    while not results or results[-1].decision != "rejected":
        assert len(results) < 200
        here.panel.say("우유 두 병 주문해 줘")
        results.append(here.panel.say("응"))
    assert results[-1].speech == "저장할 수 없어요. 저장 장치를 확인해 주세요."
    assert here.told(Error)[-1].code == "storage"
    assert len(here.kept) == len(results) - 1


# Who may order


def order(here: Kitchen, *answers: str) -> list[str]:
    """What the panel says."""
    return [here.panel.say(text).speech for text in ("우유 두 병 주문해 줘", *answers)]


def test_orders_can_be_switched_off(kitchen: Callable[..., Kitchen]) -> None:
    here = kitchen(shopping=ShoppingSettings(orders="off"))
    assert order(here, "응")[0] == "음성 주문은 꺼져 있어요."
    assert not here.told(RequestMade)


@pytest.fixture
def pin(tmp_path: Path) -> ShoppingSettings:
    file = tmp_path / "pin"
    file.write_text("1234\n")
    return ShoppingSettings(orders="pin", pin_file=str(file))


def test_an_order_can_need_the_pin(kitchen: Callable[..., Kitchen], pin: ShoppingSettings) -> None:
    here = kitchen(shopping=pin)
    said = order(here, "응", "일 이 삼 오", "일이삼사")
    assert said[1:3] == ["비밀번호를 말씀해 주세요.", "비밀번호가 아니에요. 다시 말씀해 주세요."]
    assert len(here.told(RequestMade)) == 1
    assert "이삼" not in repr(here.events), "the PIN is told to nobody"


def test_a_pin_cannot_be_guessed(kitchen: Callable[..., Kitchen], pin: ShoppingSettings) -> None:
    here = kitchen(shopping=pin)
    said = order(here, "응", "일 이 삼 오", "일 이 삼 육", "일 이 삼 칠", "일 이 삼 사")
    assert said[-2] == "비밀번호가 여러 번 틀려서 당분간 주문할 수 없어요."
    assert order(here)[0] == said[-2]
    assert not here.told(RequestMade) or all(e.kind != "shopping" for e in here.told(RequestMade))


def test_a_tv_cannot_order(kitchen: Callable[..., Kitchen], pin: ShoppingSettings) -> None:
    here = kitchen()
    here.panel.appliances["tv"].set("power", "on")
    assert order(here, "응")[0].startswith("TV 소리가 나는 동안에는")
    assert not here.told(RequestMade)
    here.panel.appliances["tv"].set("mute", "on")
    assert order(here)[0] == "우유 2병을 주문할까요?"


def test_a_tv_does_not_know_the_pin(kitchen: Callable[..., Kitchen], pin: ShoppingSettings) -> None:
    here = kitchen(shopping=pin)
    here.panel.appliances["tv"].set("power", "on")
    assert order(here, "응", "응", "응")[-1] == "주문하지 않았어요."
    assert not here.told(RequestMade)


def test_no_more_than_is_allowed(kitchen: Callable[..., Kitchen]) -> None:
    here = kitchen(shopping=ShoppingSettings(max_quantity=1))
    assert order(here, "응")[0] == "한 번에 1개까지만 주문할 수 있어요."
    assert not here.told(RequestMade)
