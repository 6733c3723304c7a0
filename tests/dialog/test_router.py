"""Who does it: the panel first, then the one named in the sentence, the wake word, the config."""

import pytest

from soripan.config import RouterSettings
from soripan.dialog.router import PANEL, Route, Router
from soripan.nlu.intents import Intent

ROUTER = Router(
    RouterSettings(
        unresolved=["google", "alexa"], shopping=["alexa"], home="hub", min_confidence=0.3
    )
)
TV_ON = Intent("TurnOn", {"target": "tv"})
ORDER = Intent("ShoppingOrder", {"items": [{"name": "우유", "quantity": 1}]})
ADD = Intent("ShoppingAdd", {"items": [{"name": "우유", "quantity": 1}]})
ASK = Intent("AskAssistant", {"assistant": "bixby", "text": "세탁기 언제 끝나"})


@pytest.mark.parametrize(
    ("intent", "addressed", "route"),
    [
        (TV_ON, PANEL, Route("local", text="말")),
        (TV_ON, "google", Route("local", text="말")),
        (ORDER, PANEL, Route("away", "shopping", ("alexa",), "말")),
        (ADD, PANEL, Route("away", "shopping", ("alexa",), "말")),
        (ORDER, "google", Route("away", "shopping", ("google", "alexa"), "말")),
        (ORDER, "alexa", Route("away", "shopping", ("alexa",), "말")),
        (ASK, PANEL, Route("away", "directed", ("bixby", "google", "alexa"), "세탁기 언제 끝나")),
        (
            ASK,
            "alexa",
            Route("away", "directed", ("bixby", "alexa", "google"), "세탁기 언제 끝나"),
        ),
    ],
)
def test_an_intent_decides_whatever_the_confidence(
    intent: Intent, addressed: str, route: Route
) -> None:
    assert ROUTER.route(intent, "말", 0.0, addressed) == route


@pytest.mark.parametrize(
    ("text", "confidence", "addressed", "route"),
    [
        ("내일 날씨", 0.3, PANEL, Route("away", "unresolved", ("google", "alexa"), "내일 날씨")),
        ("내일 날씨", 0.3, "alexa", Route("away", "directed", ("alexa", "google"), "내일 날씨")),
        ("내일 날씨", 0.29, "alexa", Route("rejected", text="내일 날씨")),
        ("비 ", 1.0, "alexa", Route("rejected", text="비 ")),
        ("비 와", 1.0, PANEL, Route("away", "unresolved", ("google", "alexa"), "비 와")),
    ],
)
def test_what_nobody_understood(text: str, confidence: float, addressed: str, route: Route) -> None:
    assert ROUTER.route(None, text, confidence, addressed) == route


def test_an_appliance_that_is_elsewhere() -> None:
    route = Route("away", "directed", ("hub", "google", "alexa"), "티비 켜")
    assert ROUTER.elsewhere("티비 켜") == route


@pytest.mark.parametrize("name", ["ChangeQuantity", "Digits"])
def test_an_answer_to_nothing_is_nothing(name: str) -> None:
    route = ROUTER.route(Intent(name), "세 개로 해 줘", 1.0, PANEL)
    assert route.kind == "unresolved"
