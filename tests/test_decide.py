"""From a transcript to what is done about it, with everything real but the fridge and the TV."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from soripan import appliances
from soripan.asr.recogniser import Alternative, Transcript, Word
from soripan.config import Config, FridgeSettings, MqttSettings, Settings, TvSettings
from soripan.decide import Decider, Heard, Result
from soripan.dialog.builtin import Builtin
from soripan.dialog.responses import Responses
from soripan.dialog.timers import Timers
from soripan.events import Action, Error, Event, EventBus, IntentReady, RequestMade, TranscriptReady
from soripan.mqtt.client import Client
from support.broker import Broker, Monitor
from support.language import LANGUAGE_FOLDER, load_parser

SESSION = "5f0c2a9d1b7e"


class Desk:
    """A decider, and what it told."""

    def __init__(self, client: Client | None = None, tv: bool = True) -> None:
        bus = EventBus()
        self.events: list[Event] = []
        bus.subscribe(Event, self.events.append)
        rooms = (FridgeSettings(), TvSettings()) if tv else (FridgeSettings(),)
        responses = Responses(LANGUAGE_FOLDER, "ko")
        config = Config(
            path=LANGUAGE_FOLDER.parent / "panel.toml",
            settings=msgspec.convert({"panel": {"id": "kitchen"}}, Settings),
            appliances=rooms,
        )
        self.appliances = {each.id: appliances.create(each, bus) for each in rooms}
        self.decider = Decider(
            config,
            bus,
            load_parser("ko"),
            responses,
            Builtin(Timers(None), responses),
            self.appliances,
            client,
        )
        self.events.clear()

    def hear(self, *readings: str | tuple[str, float], addressed: str = "panel") -> Result:
        """Decide about readings; those without a confidence are certain."""
        pairs = [(each, 1.0) if isinstance(each, str) else each for each in readings]
        transcript = Transcript(
            tuple(
                Alternative(tuple(Word(w, 0.0, 0.0) for w in text.split()), confidence)
                for text, confidence in pairs
            )
        )
        return self.decider.decide(
            Heard(session=SESSION, transcript=transcript, addressed=addressed, wake_word="alexa")
        )

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture
def monitor(broker: Broker) -> Iterator[Monitor]:
    with Monitor(broker.host, broker.port, "soripan/kitchen/request/#") as watching:
        yield watching


@pytest.fixture
def connected(broker: Broker, monitor: Monitor) -> Iterator[Callable[[bool], Desk]]:
    """Makes a desk whose requests the monitor sees."""
    client = Client(MqttSettings(host=broker.host, port=broker.port), "kitchen", EventBus())
    client.start()
    yield lambda tv: Desk(client, tv)
    client.close()


def test_local(desk: Desk) -> None:
    result = desk.hear("냉장고 온도 사 도로 맞춰 줘", addressed="alexa")
    assert (result.decision, result.kind, result.assistant) == ("local", None, None)
    assert (result.intent, result.slots) == ("SetTemperature", {"zone": "fridge", "value": 4})
    assert result.speech == "냉장실 온도를 4도로 맞췄어요."
    assert result.wake_word == "alexa"
    assert 0 <= result.timings["decide"] < 5
    assert desk.appliances["fridge"].get("fridge_temperature") == "4"
    (action,) = desk.told(Action)
    assert (action.appliance, action.changes) == ("fridge", {"fridge_temperature": "4"})
    kinds = [type(event) for event in desk.events]
    assert kinds.index(TranscriptReady) < kinds.index(IntentReady) < kinds.index(Action)
    about = (TranscriptReady, IntentReady, Action)
    assert {event.session for event in desk.events if isinstance(event, about)} == {SESSION}


def test_a_value_out_of_range_changes_nothing(desk: Desk) -> None:
    before = desk.appliances["fridge"].get("fridge_temperature")
    result = desk.hear("냉장고 온도 이십 도로 맞춰 줘")
    assert (result.decision, result.intent) == ("rejected", "SetTemperature")
    assert result.speech == "냉장실 온도는 1도부터 7도까지만 돼요."
    (error,) = desk.told(Error)
    assert (error.code, error.speech, error.session) == ("out_of_range", result.speech, SESSION)
    assert not desk.told(Action)
    assert desk.appliances["fridge"].get("fridge_temperature") == before


@pytest.mark.parametrize(
    ("readings", "code", "text"),
    [
        ((), "no_speech", ""),
        (("흠",), "not_understood", "흠"),
        ((("내일 날씨 어때", 0.19),), "not_understood", "내일 날씨 어때"),
    ],
)
def test_not_worth_anybodys_attention(
    desk: Desk, readings: tuple[str | tuple[str, float], ...], code: str, text: str
) -> None:
    result = desk.hear(*readings, addressed="alexa")
    assert (result.decision, result.text, result.intent) == ("rejected", text, None)
    (error,) = desk.told(Error)
    assert error.code == code
    assert error.speech == result.speech != ""


def test_the_first_reading_that_means_something_counts(desk: Desk) -> None:
    result = desk.hear(("티비 뷁뷁", 0.5), ("티비 켜 줘", 0.3), ("티비 켜줘", 0.15), ("꿿", 0.05))
    assert (result.decision, result.intent) == ("local", "TurnOn")
    assert result.text == "티비 켜 줘"
    assert result.confidence == pytest.approx(0.45), "of both readings that mean it"


def test_repeat_repeats_also_what_was_refused_and_not_itself(desk: Desk) -> None:
    refused = desk.hear("냉장고 온도 이십 도로 맞춰 줘").speech
    assert desk.hear("다시 말해 줘").speech == refused
    assert desk.hear("다시 말해 줘").speech == refused
    done = desk.hear("티비 켜 줘").speech
    assert desk.hear("다시 말해 줘").speech == done != refused


def test_with_nobody_to_ask_the_decision_stands(desk: Desk) -> None:
    result = desk.hear("우유 두 병 주문해 줘")
    assert (result.decision, result.kind, result.assistant) == ("away", "shopping", "alexa")
    assert result.speech == "다른 비서와 연결되어 있지 않아요."
    assert desk.told(Error)[0].code == "no_broker"
    assert not desk.told(RequestMade)


def test_shopping_waits_for_its_bridge_however_long(
    connected: Callable[[bool], Desk], monitor: Monitor
) -> None:
    desk = connected(True)
    result = desk.hear("우유 두 병 주문해 줘")
    message = monitor.wait_for("soripan/kitchen/request/alexa")
    request = json.loads(message.text)
    assert (result.decision, result.kind, result.assistant) == ("away", "shopping", "alexa")
    assert request["items"] == [{"name": "우유", "quantity": 2, "unit": "병"}]
    assert (request["kind"], request["intent"]) == ("shopping", "ShoppingOrder")
    assert (request["session"], request["attempt"]) == (SESSION, 1)
    assert (message.qos, message.expiry) == (1, None)
    assert message.response_topic == request["reply_to"] == "soripan/kitchen/reply"
    assert message.correlation == request["id"].encode()
    (made,) = desk.told(RequestMade)
    assert (made.id, made.speech) == (request["id"], result.speech)
    assert result.speech == "우유 2병을 주문해 달라고 알렉사에 전했어요."


def test_a_question_expires(connected: Callable[[bool], Desk], monitor: Monitor) -> None:
    result = connected(True).hear("구글한테 내일 날씨 물어봐 줘")
    message = monitor.wait_for("soripan/kitchen/request/google")
    request = json.loads(message.text)
    assert (result.kind, request["kind"], request["text"]) == ("directed", "directed", "내일 날씨")
    assert "items" not in request
    assert message.expiry == 30
    assert result.speech == "구글에 전했어요."


@pytest.mark.parametrize(("addressed", "kind"), [("panel", "unresolved"), ("alexa", "directed")])
def test_what_nobody_understood_goes_to_an_assistant(
    connected: Callable[[bool], Desk], monitor: Monitor, addressed: str, kind: str
) -> None:
    result = connected(True).hear(("우리 강아지가 어제 아팠어", 0.8), addressed=addressed)
    request = json.loads(monitor.wait_for("soripan/kitchen/request/alexa").text)
    assert (result.decision, result.kind) == ("away", kind)
    assert (request["kind"], request["text"]) == (kind, "우리 강아지가 어제 아팠어")
    assert request["confidence"] == 0.8
    assert "intent" not in request


def test_an_appliance_that_is_not_here(connected: Callable[[bool], Desk], monitor: Monitor) -> None:
    result = connected(False).hear("티비 켜 줘")
    message = monitor.wait_for("soripan/kitchen/request/home")
    request = json.loads(message.text)
    assert (result.decision, result.kind, result.assistant) == ("away", "directed", "home")
    assert (request["intent"], request["text"], message.expiry) == ("TurnOn", "티비 켜 줘", 30)
    assert result.speech == "여기에는 없는 기기라서 다른 기기에 전했어요."


def test_when_too_much_waits_it_is_said() -> None:
    # Never started, so all that it takes waits.
    client = Client(MqttSettings(host="127.0.0.1", queue=1), "kitchen", EventBus())
    try:
        desk = Desk(client)
        assert desk.hear("우유 두 병 주문해 줘").decision == "away"
        result = desk.hear("우유 두 병 주문해 줘")
        assert result.decision == "rejected"
        assert result.speech == "기다리는 요청이 너무 많아서 더 받을 수 없어요."
        assert [error.code for error in desk.told(Error)] == ["queue_full"]
        assert len(desk.told(RequestMade)) == 1
    finally:
        client.close()
