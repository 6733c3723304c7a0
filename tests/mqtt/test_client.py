"""The client at a broker that is there."""

import functools
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from soripan.events import StateChanged, TranscriptReady, Wake
from soripan.mqtt.client import BRIDGES, INBOX, Client, ReplyMessage, SetMessage
from soripan.mqtt.connection import MAX_PACKET
from soripan.mqtt.messages import MAX_PAYLOAD, Reply, Request, decode_reply, encode
from support.broker import Broker, Monitor

ONLINE = "soripan/kitchen/availability"
MakeClient = Callable[..., Client]
REPLY = Reply(schema="soripan.reply/1", id="a", status="ok", speech="네.")


@pytest.fixture
def client(broker: Broker, monitor: Monitor, make_client: MakeClient) -> Client:
    """Connected, and the monitor knows it."""
    made = make_client(broker.port)
    made.start()
    monitor.wait_for(ONLINE, "online")
    return made


def wait_until(condition: Callable[[], bool], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def drain(client: Client, count: int, timeout: float = 10) -> list[SetMessage | ReplyMessage]:
    """Poll until ``count`` messages have come, and a little longer in case there are more."""
    messages: list[SetMessage | ReplyMessage] = []
    deadline = time.monotonic() + timeout
    while len(messages) < count and time.monotonic() < deadline:
        messages += client.poll()
        time.sleep(0.02)
    time.sleep(0.1)
    return messages + client.poll()


def test_it_is_online_and_then_offline(client: Client, broker: Broker, monitor: Monitor) -> None:
    online = monitor.wait_for(ONLINE, "online")
    assert (online.qos, online.retain) == (1, True)
    assert client.connected
    client.close()
    offline = monitor.wait_for(ONLINE, "offline")
    assert (offline.qos, offline.retain) == (1, True)
    client.close()
    assert [m.text for m in monitor.messages if m.topic == ONLINE] == ["online", "offline"]


def test_its_last_will_says_offline_when_it_is_killed(broker: Broker, monitor: Monitor) -> None:
    program = (
        "import time\n"
        "from soripan.config import MqttSettings\n"
        "from soripan.events import EventBus\n"
        "from soripan.mqtt.client import Client\n"
        f"settings = MqttSettings(host='{broker.host}', port={broker.port})\n"
        "Client(settings, 'kitchen', EventBus()).start()\n"
        "time.sleep(60)\n"
    )
    panel = subprocess.Popen([sys.executable, "-c", program])
    try:
        monitor.wait_for(ONLINE, "online")
    finally:
        os.kill(panel.pid, signal.SIGKILL)
        panel.wait()
    offline = monitor.wait_for(ONLINE, "offline")
    assert (offline.qos, offline.retain) == (1, True)


def test_whoever_sees_it_online_can_set(client: Client, monitor: Monitor) -> None:
    monitor.publish("soripan/kitchen/set/fridge/fridge_temperature", "3")
    monitor.publish("soripan/kitchen/set/tv/input", "hdmi1")
    assert drain(client, 2) == [
        SetMessage("fridge", "fridge_temperature", "3"),
        SetMessage("tv", "input", "hdmi1"),
    ]
    assert client.poll() == []


def test_a_reply_comes_in(client: Client, monitor: Monitor) -> None:
    monitor.publish("soripan/kitchen/reply", encode(REPLY))
    assert drain(client, 1) == [ReplyMessage(REPLY)]


def test_a_state_is_retained(client: Client, broker: Broker) -> None:
    assert client.publish_state("fridge", "door", "open")
    with Monitor(broker.host, broker.port, "soripan/+/state/#") as later:
        state = later.wait_for("soripan/kitchen/state/fridge/door", "open")
    assert (state.qos, state.retain) == (1, True)


def test_an_event_is_neither_retained_nor_acknowledged(client: Client, monitor: Monitor) -> None:
    event = Wake(session="s", wake_word="hey_jarvis_v0.1", assistant="panel", score=0.9)
    assert client.publish_event(event)
    message = monitor.wait_for("soripan/kitchen/event/wake")
    assert (message.qos, message.retain) == (0, False)
    assert '"wake_word":"hey_jarvis_v0.1"' in message.text


def test_an_event_without_a_topic_is_a_bug(client: Client) -> None:
    with pytest.raises(ValueError, match="StateChanged has no topic"):
        client.publish_event(StateChanged(appliance="tv", property="power", value="on"))


def test_a_request_carries_its_properties(
    client: Client, monitor: Monitor, make_request: Callable[..., Request]
) -> None:
    request = make_request(assistant="google")
    assert client.publish_request(request, expiry=30)
    message = monitor.wait_for("soripan/kitchen/request/google")
    assert message.payload == encode(request)
    assert (message.qos, message.retain) == (1, False)
    assert message.response_topic == "soripan/kitchen/reply"
    assert message.correlation == request.id.encode()
    assert message.content_type == "application/json"
    assert message.expiry is not None
    assert 28 <= message.expiry <= 30


def test_a_request_for_shopping_never_expires(
    client: Client, monitor: Monitor, make_request: Callable[..., Request]
) -> None:
    assert client.publish_request(make_request(kind="shopping"), expiry=None)
    assert monitor.wait_for("soripan/kitchen/request/alexa").expiry is None


def test_anything_else_can_be_published(client: Client, monitor: Monitor) -> None:
    assert client.publish("homeassistant/device/kitchen/config", "{}", retain=True)
    assert monitor.wait_for("homeassistant/device/kitchen/config", "{}").retain


def test_a_receipt_tells_that_the_broker_has_it(
    client: Client, broker: Broker, make_request: Callable[..., Request]
) -> None:
    broker.freeze()
    receipt = client.publish_request(make_request(), 30)
    assert receipt is not None
    time.sleep(0.2)
    assert not receipt.acknowledged
    broker.thaw()
    wait_until(lambda: receipt.acknowledged)


def test_bridges_come_and_go(client: Client, monitor: Monitor) -> None:
    assert client.bridge("alexa") is None
    for text, there in (("online", True), ("offline", False), ("online", True), ("", False)):
        monitor.publish("soripan/bridges/alexa/availability", text, retain=True)
        wait_until(functools.partial(_is, client, there))


def _is(client: Client, there: bool) -> bool:
    return client.bridge("alexa") is there


def test_no_more_bridges_are_remembered_than_there_can_be(client: Client, monitor: Monitor) -> None:
    for number in range(BRIDGES + 3):
        monitor.publish(f"soripan/bridges/a{number}/availability", "online")
    monitor.publish("soripan/bridges/a0/availability", "nonsense")
    wait_until(lambda: sum(client.dropped.values()) == 4)
    assert client.bridge("a0") is True
    assert client.bridge(f"a{BRIDGES}") is None


def test_a_retained_set_is_ignored(
    broker: Broker, monitor: Monitor, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.publish("soripan/kitchen/set/tv/power", "on", retain=True)
    monitor.publish("soripan/kitchen/reply", encode(REPLY), retain=True)
    client = make_client(broker.port)
    client.start()
    monitor.wait_for(ONLINE, "online")
    monitor.publish("soripan/kitchen/set/tv/volume", "7")
    assert drain(client, 1) == [SetMessage("tv", "volume", "7")]
    assert client.dropped == {"incoming message": 2}
    assert "it is retained; clear it" in caplog.text


def test_clearing_a_retained_set_does_nothing(client: Client, monitor: Monitor) -> None:
    monitor.publish("soripan/kitchen/set/tv/power", b"", retain=True)
    monitor.publish("soripan/kitchen/set/tv/volume", "7")
    assert drain(client, 1) == [SetMessage("tv", "volume", "7")]


def test_the_inbox_is_bounded_and_the_newest_stay(
    client: Client, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(INBOX + 10):
        monitor.publish("soripan/kitchen/set/tv/volume", str(number))
    time.sleep(0.2)
    messages = client.poll()
    assert len(messages) == INBOX
    assert messages[-1] == SetMessage("tv", "volume", str(INBOX + 9))
    assert client.dropped == {"incoming message": 10}
    assert caplog.text.count("the pipeline does not take them fast enough") == 1


GARBAGE = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not UTF-8": b"\xff\xfe\xfd",
    "NUL": b"\0",
    "not JSON": b"{]",
    "deep": b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "wrong types": b'{"schema":"soripan.reply/1","id":[],"status":{}}',
    "huge number": b'{"schema":"soripan.reply/1","id":"a","status":' + b"9" * 5000 + b"}",
    "large": b"x" * (MAX_PAYLOAD + 1),
}


def test_garbage_does_no_harm(
    client: Client, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    for payload in GARBAGE.values():
        monitor.publish("soripan/kitchen/reply", payload)
        monitor.publish("soripan/kitchen/set/tv/volume", payload)
    monitor.publish("soripan/kitchen/set/냉장고/\u200b온도", "3")
    monitor.publish("soripan/kitchen/reply", encode(REPLY))
    messages = drain(client, 6)
    # The values are for the appliance to judge, as long as they are text and not too long.
    assert [m.value for m in messages if isinstance(m, SetMessage)] == [
        "\0",
        "{]",
        GARBAGE["deep"].decode(),
        GARBAGE["wrong types"].decode(),
        GARBAGE["huge number"].decode(),
        "3",
    ]
    assert messages[-1] == ReplyMessage(REPLY)
    assert len(messages) == 7
    assert client.connected
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_broker_keeps_very_large_packets_to_itself(client: Client, monitor: Monitor) -> None:
    monitor.publish("soripan/kitchen/set/tv/volume", b"x" * (MAX_PACKET + 1))
    monitor.publish("soripan/kitchen/set/tv/volume", "7")
    assert drain(client, 1) == [SetMessage("tv", "volume", "7")]
    assert client.dropped == {}


def test_a_hook_that_fails_is_logged(
    broker: Broker, monitor: Monitor, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[bool] = []
    client = make_client(broker.port)
    client.on_connect(lambda: 1 / 0)  # type: ignore[arg-type]
    client.on_connect(lambda: called.append(client.connected))
    client.start()
    monitor.wait_for(ONLINE, "online")
    monitor.publish("soripan/kitchen/set/tv/volume", "7")
    assert drain(client, 1)
    assert called == [True]
    assert "ZeroDivisionError" in caplog.text


def test_a_hook_that_comes_late_is_called_at_once(client: Client, monitor: Monitor) -> None:
    monitor.publish("soripan/kitchen/set/tv/volume", "7")
    assert drain(client, 1)  # certainly connected
    called: list[bool] = []
    client.on_connect(lambda: called.append(True))
    assert called == [True]


def test_two_panels_with_one_id_are_found_out(
    client: Client, broker: Broker, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    make_client(broker.port).start()
    deadline = time.monotonic() + 10
    while "another" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.05)
    # What the broker says about it differs from version to version.
    assert re.search("another (client|panel)", caplog.text)


def test_after_closing_nothing_goes_out(
    client: Client, make_request: Callable[..., Request], monitor: Monitor
) -> None:
    client.close()
    assert not client.publish_event(TranscriptReady(text="안녕", confidence=1.0))
    assert not client.publish_request(make_request(), 30)
    assert not client.publish("x", "y")
    assert client.dropped == {"event": 1, "message": 1}


def test_a_reply_of_our_own_making_can_be_read() -> None:
    assert decode_reply(encode(REPLY)) == REPLY
