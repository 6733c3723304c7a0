from collections.abc import Callable, Iterator
from typing import Any

import pytest

from soripan.config import MqttSettings
from soripan.events import Error, EventBus
from soripan.mqtt.client import Client
from soripan.mqtt.messages import Request
from support.broker import Broker, Monitor

MakeClient = Callable[..., Client]


@pytest.fixture
def monitor(broker: Broker) -> Iterator[Monitor]:
    with Monitor(broker.host, broker.port) as watching:
        yield watching


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


@pytest.fixture
def errors(bus: EventBus) -> list[Error]:
    seen: list[Error] = []
    bus.subscribe(Error, seen.append)
    return seen


@pytest.fixture
def make_client(bus: EventBus) -> Iterator[MakeClient]:
    """Makes clients of the panel "kitchen" that are closed at the end of the test."""
    made: list[Client] = []

    def make(port: int, **settings: Any) -> Client:
        values: dict[str, Any] = {"host": "127.0.0.1", "port": port} | settings
        client = Client(MqttSettings(**values), "kitchen", bus)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect ten times faster than in the home."""
    monkeypatch.setattr("soripan.mqtt.connection.BACK_OFF", (0.1, 0.2))


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect so slowly that a monitor is there first."""
    monkeypatch.setattr("soripan.mqtt.connection.BACK_OFF", (4, 4))


@pytest.fixture
def make_request() -> Callable[..., Request]:
    def make(**values: Any) -> Request:
        defaults: dict[str, Any] = {
            "panel": "kitchen",
            "appliance": "fridge",
            "language": "ko",
            "assistant": "alexa",
            "kind": "unresolved",
            "text": "내일 날씨 어때",
            "confidence": 0.9,
            "session": "5f0c2a9d1b7e",
            "attempt": 1,
            "reply_to": "soripan/kitchen/reply",
        }
        return Request(**defaults | values)

    return make
