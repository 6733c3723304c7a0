"""Orders on a bad network, and whatever anybody may publish to a panel."""

import contextlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soripan.config import MqttSettings, RouterSettings
from soripan.events import Error, ReplyReady
from soripan.exc import MessageError
from soripan.mqtt.messages import decode_reply, decode_request
from support.assistant import Assistant
from support.broker import Broker, Monitor
from support.killing import Shop
from support.kitchen import Kitchen
from support.proxy import BadNetwork

ORDERS = 15
SET = "soripan/kitchen/set/"
REPLY = "soripan/kitchen/reply"


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(persistence=True) as running:
        yield running


def bad_times(port: int) -> dict[str, Any]:
    """Settings that notice everything soon."""
    return {
        "mqtt": MqttSettings(host="127.0.0.1", port=port, keepalive=5),
        "router": RouterSettings(deadline=1.0),
    }


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect ten times faster than in the home."""
    monkeypatch.setattr("soripan.mqtt.connection.BACK_OFF", (0.1, 0.2))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seed", [1, 2])
def test_orders_on_a_bad_network(
    broker: Broker, config_file: Path, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311  no secret
    shop = Shop()
    with (
        BadNetwork(broker.port) as network,
        BadNetwork(broker.port) as its_network,
        Assistant(its_network.port, "alexa", shop),
    ):
        here = Kitchen(config_file, tmp_path, **bad_times(network.port))
        weather = [
            threading.Thread(target=each.misbehave, args=(8.0, random.Random(seed + n)))  # noqa: S311
            for n, each in enumerate((network, its_network))
        ]
        for thread in weather:
            thread.start()
        keys = []
        for _ in range(ORDERS):
            here.panel.say("우유 두 병 주문해 줘")
            keys.append(here.panel.say("응").request)
            here.attend(rng.uniform(0.0, 0.6))
        for thread in weather:
            thread.join()
        deadline = time.monotonic() + 60
        while len(here.told(ReplyReady)) < ORDERS:
            assert time.monotonic() < deadline, "not all orders were answered"
            here.attend(0.1)
        here.close()
    assert network.resets > 3
    assert shop.ids == set(keys)
    sessions = Counter(session for session, _ in shop.ledger)
    assert set(sessions.values()) == {1}, "one order for one sentence"
    assert sum(shop.ledger.values()) == ORDERS


# Hostile messages

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
fields = st.sampled_from(
    [
        "schema",
        "id",
        "status",
        "speech",
        "display",
        "expect_answer",
        "actions",
        "at",
        "panel",
        "assistant",
        "kind",
        "text",
        "confidence",
        "items",
        "session",
        "attempt",
        "reply_to",
    ]
)
almost = st.fixed_dictionaries(
    {"schema": st.sampled_from(["soripan.reply/1", "soripan.request/1"])},
    optional={"id": st.just("a"), "status": st.sampled_from(["ok", "failed", "no"])},
).flatmap(lambda base: st.dictionaries(fields, json_values, max_size=6).map(lambda m: base | m))
payloads = st.one_of(
    st.binary(max_size=300),
    json_values.map(lambda value: json.dumps(value).encode()),
    almost.map(lambda value: json.dumps(value).encode()),
    st.integers(1, 60_000).map(lambda depth: b'{"actions":' + b"[" * depth),
)


@given(payloads)
@settings(max_examples=500, deadline=None)
def test_a_payload_is_read_or_refused(payload: bytes) -> None:
    for decode in (decode_reply, decode_request):
        with contextlib.suppress(MessageError):
            decode(payload)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kitchen, Monitor]]:
    folder = tmp_path_factory.mktemp("state")
    with (
        Broker(extra="message_size_limit 0") as broker,
        Monitor(broker.host, broker.port, "none") as attacker,
    ):
        file = Path(__file__).parents[1] / "config/panel.toml"
        here = Kitchen(file, folder, **bad_times(broker.port))
        while not here.client.connected:
            time.sleep(0.02)
        yield here, attacker
        here.close()


def alive(here: Kitchen, attacker: Monitor) -> bool:
    """Whether it still does what it is told over MQTT."""
    fridge = here.panel.appliances["fridge"]
    wanted = "3" if fridge.get("fridge_temperature") != "3" else "4"
    attacker.publish(SET + "fridge/fridge_temperature", wanted)
    deadline = time.monotonic() + 5
    while fridge.get("fridge_temperature") != wanted and time.monotonic() < deadline:
        here.attend(0.01)
    return fridge.get("fridge_temperature") == wanted


topics = st.sampled_from(
    [
        REPLY,
        SET + "fridge/fridge_temperature",
        SET + "tv/volume",
        SET + "x/y",
        "soripan/bridges/alexa/availability",
        "soripan/bridges/\u00e4/availability",
    ]
)


@given(st.lists(st.tuples(topics, payloads), min_size=1, max_size=10))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_that_is_published_ends_the_panel(
    target: tuple[Kitchen, Monitor], messages: list[tuple[str, bytes]]
) -> None:
    here, attacker = target
    for topic, payload in messages:
        attacker.publish(topic, payload)
    assert alive(here, attacker)
    assert here.client.connected


@pytest.mark.parametrize("topic", [REPLY, SET + "tv/volume", "soripan/bridges/alexa/availability"])
def test_ten_megabytes(target: tuple[Kitchen, Monitor], topic: str) -> None:
    here, attacker = target
    attacker.publish(topic, b"x" * 10_000_000)
    assert alive(here, attacker)


def test_a_flood_is_bounded(target: tuple[Kitchen, Monitor]) -> None:
    here, attacker = target
    reply = json.dumps({"schema": "soripan.reply/1", "id": "x", "status": "ok", "speech": "!"})
    before = len(here.told(ReplyReady))
    for _ in range(2000):
        attacker._client.publish(REPLY, reply, qos=0)
    assert alive(here, attacker)
    assert len(here.told(ReplyReady)) == before, "a reply to nothing is not spoken"


def test_the_same_and_the_wrong_order(broker: Broker, config_file: Path, tmp_path: Path) -> None:
    """Replies that come twice, late, before their time, or for others."""
    with Assistant(broker.port, "alexa", lambda _: None) as alexa:
        here = Kitchen(config_file, tmp_path, **bad_times(broker.port))
        while here.client.bridge("alexa") is None:
            here.attend(0.02)
        for _ in range(3):
            here.panel.say("우유 두 병 주문해 줘")
            here.panel.say("응")
        deadline = time.monotonic() + 10
        while len({request["id"] for request in alexa.requests}) < 3:
            assert time.monotonic() < deadline
            here.attend(0.05)
        unique = {request["id"]: request for request in alexa.requests}
        for request in reversed(unique.values()):
            for status in ("ok", "failed", "ok"):
                alexa.reply(request, status=status)
        alexa.reply(alexa.requests[0] | {"id": "nobody's"}, status="ok")
        here.attend(1.0)
        replies = here.told(ReplyReady)
        assert [reply.id for reply in replies] == list(reversed(unique))
        assert {reply.status for reply in replies} == {"ok"}, "the first one counts"
        assert not [e for e in here.told(Error) if e.code not in ("waiting",)]
        here.close()
