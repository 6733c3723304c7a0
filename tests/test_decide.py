"""From a transcript to what is done about it, with everything real but the fridge and the TV."""

from typing import Any

import msgspec
import pytest

from soripan import appliances
from soripan.asr.recogniser import Alternative, Transcript, Word
from soripan.config import Config, FridgeSettings, Settings, TvSettings
from soripan.decide import Decider, Heard, Result
from soripan.dialog.builtin import Builtin
from soripan.dialog.responses import Responses
from soripan.dialog.shopping import ShoppingList
from soripan.dialog.timers import Timers
from soripan.events import Action, Error, Event, EventBus, IntentReady, RequestMade, TranscriptReady
from support.language import LANGUAGE_FOLDER, load_parser

SESSION = "5f0c2a9d1b7e"


class Desk:
    """A decider, and what it told."""

    def __init__(self) -> None:
        bus = EventBus()
        self.events: list[Event] = []
        bus.subscribe(Event, self.events.append)
        rooms = (FridgeSettings(), TvSettings())
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
            None,
            ShoppingList((), 7),
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
    assert desk.hear("우유 두 병 주문해 줘").asks
    result = desk.hear("응")
    assert (result.decision, result.kind, result.assistant) == ("away", "shopping", "alexa")
    assert result.speech == "다른 비서와 연결되어 있지 않아요."
    assert desk.told(Error)[0].code == "no_broker"
    assert not desk.told(RequestMade)
