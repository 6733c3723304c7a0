"""The process around a bridge: what it does with whatever comes, and when things go wrong."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes

from soripan.bridges.bridge import Bridge, BridgeSettings, reply
from soripan.bridges.memory import Claim, Memory
from soripan.bridges.runtime import Runtime
from soripan.config import MqttSettings
from soripan.exc import BridgeError, BridgeUnavailableError
from soripan.mqtt.connection import properties_of
from soripan.mqtt.messages import Reply, Request, encode
from support.bridges import order, question
from support.broker import Broker, Monitor

AVAILABLE = "soripan/bridges/alexa/availability"
ASK = "soripan/kitchen/request/alexa"
REPLY = "soripan/kitchen/reply"


class Doing(Bridge):
    """A bridge that does what the test wants."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.act: Callable[[], None] = lambda: None
        self.speech = "네."

    def handle(self, request: Request, deadline: float) -> Reply:
        self.done.append(request.id)
        self.act()
        return reply(request, self.speech)


class Running:
    """A runtime in this process, and somebody who asks it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.bridge = Doing()
        self.memory = Memory(folder)
        mqtt = MqttSettings(host="127.0.0.1", port=port)
        settings = BridgeSettings(assistant="alexa", deadline=3.0, mqtt=mqtt)
        self.runtime = Runtime(settings, self.bridge, self.memory)
        self.runtime.start()

    def close(self) -> None:
        self.runtime.close()
        self.memory.close()

    def waits_for_nothing(self) -> None:
        """Wait until nothing is in hand."""
        deadline = time.monotonic() + 10
        time.sleep(0.3)
        while self.runtime.metrics.in_hand:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(extra="message_size_limit 0") as running:
        yield running


@pytest.fixture(scope="module")
def monitor(broker: Broker) -> Iterator[Monitor]:
    with Monitor(broker.host, broker.port, REPLY, AVAILABLE) as watching:
        yield watching


@pytest.fixture(scope="module")
def running(
    broker: Broker, monitor: Monitor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    here = Running(tmp_path_factory.mktemp("state"), broker.port)
    monitor.wait_for(AVAILABLE, "online")
    time.sleep(0.2)
    yield here
    here.close()


@pytest.fixture(autouse=True)
def afresh(monitor: Monitor, running: Running) -> None:
    monitor.clear()
    running.bridge.done.clear()
    running.bridge.act = lambda: None
    running.bridge.speech = "네."


def ask(monitor: Monitor, request: Request, **properties: Any) -> None:
    """Publish a request with MQTT 5 properties."""
    values = properties_of(PacketTypes.PUBLISH, **properties)
    info = monitor._client.publish(ASK, encode(request), 1, properties=values)
    info.wait_for_publish(5)


def answers(monitor: Monitor) -> list[tuple[str, str]]:
    bodies = [json.loads(m.text) for m in monitor.messages if m.topic == REPLY]
    return [(body["id"], body["status"]) for body in bodies]


def raising(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_the_reply_has_what_the_request_had(running: Running, monitor: Monitor) -> None:
    ask(monitor, question(), ResponseTopic=REPLY, CorrelationData=b"\x00\xff")
    message = monitor.wait_for(REPLY)
    assert (message.correlation, message.content_type) == (b"\x00\xff", "application/json")
    assert not message.retain


@pytest.mark.parametrize("topic", ["soripan/livingroom/reply", "soripan/kitchen/set/tv/power", "x"])
def test_a_response_topic_elsewhere_is_refused(
    running: Running, monitor: Monitor, topic: str
) -> None:
    ask(monitor, question(), ResponseTopic=topic)
    running.waits_for_nothing()
    assert running.bridge.done == []
    assert answers(monitor) == []


def test_an_answer_that_nobody_wants_any_more_is_only_remembered(
    running: Running, monitor: Monitor
) -> None:
    running.bridge.act = lambda: time.sleep(1.3)
    late = question()
    ask(monitor, late, MessageExpiryInterval=1)
    running.waits_for_nothing()
    assert running.bridge.done == [late.id]
    assert answers(monitor) == []
    ask(monitor, late)
    monitor.wait_for(REPLY)
    assert running.bridge.done == [late.id]


@pytest.mark.parametrize(
    ("error", "to_a_question", "to_an_order"),
    [
        (BridgeUnavailableError("away"), "unsupported", None),
        (BridgeError("no"), "failed", "failed"),
        (ZeroDivisionError("a mistake"), "failed", "failed"),
    ],
)
def test_what_goes_wrong_is_told(
    running: Running,
    monitor: Monitor,
    error: Exception,
    to_a_question: str,
    to_an_order: str | None,
) -> None:
    running.bridge.act = raising(error)
    for request, status in ((question(), to_a_question), (order(), to_an_order)):
        monitor.clear()
        ask(monitor, request)
        running.waits_for_nothing()
        assert answers(monitor) == ([(request.id, status)] if status else [])
        again = running.memory.claim(request.id, 1)
        assert (again is Claim.OURS) is (status is None)


def test_without_a_memory_nothing_is_done(
    broker: Broker, monitor: Monitor, running: Running, tmp_path: Path
) -> None:
    memory, running.runtime._memory = running.runtime._memory, Memory(tmp_path)
    try:
        running.runtime._memory.close()
        asked = question()
        ask(monitor, asked)
        ask(monitor, order())
        running.waits_for_nothing()
        assert running.bridge.done == []
        assert answers(monitor) == [(asked.id, "unsupported")]
    finally:
        running.runtime._memory = memory


def test_what_was_done_is_told_even_if_it_cannot_be_remembered(
    running: Running, monitor: Monitor, tmp_path: Path
) -> None:
    memory, running.runtime._memory = running.runtime._memory, Memory(tmp_path)
    try:
        running.bridge.act = running.runtime._memory.close
        request = order()
        ask(monitor, request)
        monitor.wait_for(REPLY)
        assert answers(monitor) == [(request.id, "ok")]
    finally:
        running.runtime._memory = memory


@pytest.mark.parametrize("speech", ["가" * 100_000, "안녕 \ud800"])
def test_a_reply_that_no_panel_would_read_is_cut_down(
    running: Running, monitor: Monitor, speech: str
) -> None:
    running.bridge.speech = speech
    request = order()
    ask(monitor, request)
    body = json.loads(monitor.wait_for(REPLY).text)
    assert (body["id"], body["status"]) == (request.id, "ok")
    assert 3 < len(body["speech"]) <= 500


def test_a_cleared_availability_is_said_again(running: Running, monitor: Monitor) -> None:
    monitor.publish(AVAILABLE, b"", retain=True)
    monitor.wait_for(AVAILABLE, "online")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
valid = json.loads(encode(order()))
almost = st.dictionaries(st.sampled_from(sorted(valid)), json_values, max_size=3).map(
    lambda changed: valid | changed
)
payloads = st.one_of(
    st.binary(max_size=300),
    json_values.map(lambda value: json.dumps(value).encode()),
    almost.map(lambda value: json.dumps(value).encode()),
    almost.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")),
    st.integers(1, 60_000).map(lambda depth: b'{"items":' + b"[" * depth),
)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[1, 2]",
        b"\xff\xfe",
        b"[" * 50_000,
        b"x" * 10_000_000,
        json.dumps({"schema": "soripan.request/1"}).encode(),
        json.dumps(valid | {"assistant": "google"}).encode(),
        json.dumps(valid | {"id": "x" * 65}).encode(),
    ],
    ids=["empty", "object", "array", "no UTF-8", "deep", "10 MB", "poor", "another's", "long id"],
)
def test_hostile_payloads(running: Running, monitor: Monitor, payload: bytes) -> None:
    monitor.publish(ASK, payload)
    asked = question()
    ask(monitor, asked)
    monitor.wait(lambda m: m.topic == REPLY and asked.id in m.text)
    assert running.bridge.done == [asked.id]


@given(st.lists(st.tuples(st.sampled_from([ASK, AVAILABLE]), payloads), min_size=1, max_size=20))
@examples(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_nothing_that_is_published_ends_it(
    running: Running, monitor: Monitor, messages: list[tuple[str, bytes]]
) -> None:
    monitor.clear()
    for topic, payload in messages:
        monitor._client.publish(topic, payload, 1)
    asked = question()
    ask(monitor, asked)
    monitor.wait(lambda m: m.topic == REPLY and asked.id in m.text)


def test_a_flood_is_logged_in_a_few_lines(
    running: Running, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "soripan"):
        for number in range(300):
            forged = valid | {"panel": f"x{number}\nERROR forged line", "status": "z" * 500}
            monitor._client.publish(ASK, json.dumps(forged), 1)
        asked = question()
        ask(monitor, asked)
        monitor.wait(lambda m: m.topic == REPLY and asked.id in m.text)
    assert len(caplog.messages) < 5
    assert not [line for line in caplog.messages if "\n" in line or len(line) > 500]


def test_a_broker_that_comes_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker() as late:
        late.stop()
        here = Running(tmp_path, late.port)
        try:
            time.sleep(1.5)
            late.start()
            with Monitor(late.host, late.port, AVAILABLE) as watching:
                watching.wait_for(AVAILABLE, "online", timeout=15)
        finally:
            here.close()
    said = [line for line in caplog.messages if "nothing listens" in line]
    assert len(said) == 1
