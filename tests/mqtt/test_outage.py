"""The client while its broker is away, ill or impossible."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from soripan.events import Error, Event, EventBus, StateChanged, TranscriptReady
from soripan.mqtt.client import Client
from soripan.mqtt.messages import Request
from soripan.mqtt.publisher import Publisher
from support.broker import Broker, Monitor

ONLINE = "soripan/kitchen/availability"
REQUEST = "soripan/kitchen/request/alexa"
TEMPERATURE = "soripan/kitchen/state/fridge/fridge_temperature"
MakeClient = Callable[..., Client]
MakeRequest = Callable[..., Request]


def temperature(value: str) -> StateChanged:
    return StateChanged(appliance="fridge", property="fridge_temperature", value=value)


def wait_until(condition: Callable[[], bool], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.usefixtures("quick")
def test_an_absent_broker_is_tried_for_ever_and_logged_once(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(closed_port())
    began = time.monotonic()
    client.start()
    assert time.monotonic() - began < 0.5
    time.sleep(1.5)
    assert not client.connected
    assert caplog.text.count("nothing listens at 127.0.0.1") == 1


def test_closing_does_not_wait_for_an_absent_broker(make_client: MakeClient) -> None:
    client = make_client(closed_port())
    client.close()  # never started
    client = make_client(closed_port())
    client.start()
    time.sleep(0.1)
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 2.5


def test_closing_does_not_wait_for_a_broker_that_is_ill(
    broker: Broker, monitor: Monitor, make_client: MakeClient
) -> None:
    client = make_client(broker.port)
    client.start()
    monitor.wait_for(ONLINE, "online")
    broker.freeze()
    began = time.monotonic()
    client.close(timeout=0.5)
    assert time.monotonic() - began < 1.5
    broker.thaw()
    monitor.wait_for(ONLINE, "offline")


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill])
@pytest.mark.usefixtures("quick")
def test_after_the_broker_was_gone_states_and_subscriptions_are_back(
    broker: Broker,
    make_client: MakeClient,
    bus: EventBus,
    caplog: pytest.LogCaptureFixture,
    end: Callable[[Broker], None],
) -> None:
    client = make_client(broker.port)
    Publisher(bus, client)
    bus.publish(temperature("3"))
    client.start()
    wait_until(lambda: client.connected)
    end(broker)
    wait_until(lambda: not client.connected)
    bus.publish(temperature("4"))
    broker.start()  # it has kept nothing: no retained messages, no subscriptions
    with Monitor(broker.host, broker.port) as monitor:
        monitor.wait_for(ONLINE, "online")
        monitor.wait_for(TEMPERATURE, "4")
        monitor.publish("soripan/kitchen/set/fridge/fridge_temperature", "5")
        wait_until(lambda: len(client.poll()) == 1)
    assert caplog.text.count("lost the broker") == 1
    assert client.dropped == {}  # a state is published later, so it is not dropped


@pytest.mark.usefixtures("unhurried")
def test_an_old_state_never_overtakes_a_newer_one(
    broker: Broker, make_client: MakeClient, bus: EventBus
) -> None:
    client = make_client(broker.port)
    Publisher(bus, client)
    client.start()
    wait_until(lambda: client.connected)
    broker.freeze()
    bus.publish(temperature("3"))  # on its way, and never acknowledged
    broker.kill()
    wait_until(lambda: not client.connected)
    bus.publish(temperature("5"))
    broker.start()
    with Monitor(broker.host, broker.port) as monitor:
        monitor.wait_for(TEMPERATURE, "5")
        time.sleep(0.3)
        assert [m.text for m in monitor.messages if m.topic == TEMPERATURE] == ["5"]


def test_without_a_broker_requests_are_left_to_the_outbox(
    make_client: MakeClient, make_request: MakeRequest
) -> None:
    client = make_client(closed_port())
    assert client.publish_request(make_request(), expiry=30) is None
    client.start()
    assert client.publish_request(make_request(), expiry=30) is None


@pytest.mark.usefixtures("unhurried")
def test_what_was_not_acknowledged_is_left_to_the_outbox(
    broker: Broker, make_client: MakeClient, make_request: MakeRequest
) -> None:
    client = make_client(broker.port)
    client.start()
    wait_until(lambda: client.connected)
    first = client.since
    broker.freeze()
    receipt = client.publish_request(make_request(id="question"), expiry=60)
    assert receipt is not None
    time.sleep(0.2)
    broker.kill()
    wait_until(lambda: not client.connected)
    broker.start()
    with Monitor(broker.host, broker.port) as monitor:
        wait_until(lambda: client.connected)
        assert client.since > first
        time.sleep(0.3)
        assert [m for m in monitor.messages if m.topic == REQUEST] == []
    assert not receipt.acknowledged


def test_events_do_not_wait(
    make_client: MakeClient, bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(closed_port())
    Publisher(bus, client)
    for _ in range(50):
        bus.publish(TranscriptReady(text="안녕", confidence=0.9))
    assert client.dropped == {"event": 50}
    assert caplog.text.count("there is no connection") == 1


def test_a_broker_that_takes_nothing_blocks_nobody(
    broker: Broker, monitor: Monitor, make_client: MakeClient, make_request: MakeRequest
) -> None:
    client = make_client(broker.port, queue=10)
    client.start()
    monitor.wait_for(ONLINE, "online")
    broker.freeze()
    large = TranscriptReady(text="x" * 60_000, confidence=0.9)
    longest = 0.0
    published = 0
    while client.dropped.get("event", 0) < 5:
        began = time.monotonic()
        published += client.publish_event(large)
        longest = max(longest, time.monotonic() - began)
        assert published < 2000, "the queue is not bounded"
    assert [client.publish_state("tv", "volume", str(n)) for n in range(30)].count(False) >= 9
    assert [client.publish_request(make_request(), None) for _ in range(12)].count(None) >= 2
    assert longest < 1.0
    assert client.dropped.keys() == {"event", "state"}
    broker.thaw()


@pytest.mark.usefixtures("quick")
def test_a_broker_that_falls_silent_is_noticed_once(
    broker: Broker, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(broker.port, keepalive=5)
    client.start()
    wait_until(lambda: client.connected)
    broker.freeze()
    wait_until(lambda: not client.connected, timeout=20)
    broker.thaw()
    wait_until(lambda: client.connected)
    assert caplog.text.count("lost the broker") == 1


@pytest.mark.usefixtures("unhurried")
def test_a_reply_survives_a_short_outage(
    broker: Broker, monitor: Monitor, make_client: MakeClient
) -> None:
    client = make_client(broker.port)
    client.start()
    monitor.wait_for(ONLINE, "online")
    sock = client._paho.socket()
    assert sock is not None
    sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    monitor.wait_for(ONLINE, "offline")
    monitor.publish("soripan/kitchen/reply", '{"schema":"soripan.reply/1","id":"a","status":"ok"}')
    wait_until(lambda: len(client.poll()) == 1)


@contextmanager
def server(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Something that is no broker: says ``answer`` to all who connect, and what they said."""
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # the client may be gone before it has the answer
                heard.append(connection.recv(1024))
                connection.sendall(answer)
                # Closing with something unread would take the answer back.
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(2)
                while connection.recv(1024):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x02\x00",
        b"\x20\x03\x00\xfe\x00",
        b"\x20\x06\x00\x00\x03\xff\xff\xff",
        b"\x20\x03\x00\x00\x00" + b"\x32\x04\x00\x09\xff\xff",
        b"\x20\x03\x00\x00\x00" + b"\x30\x05\x00\x02\xff\xfe\x00",
        b"\x20\x03\x00\x00\x00" + b"\x40\x01\x00" + b"\x90\x00" + b"\xff\xff\xff\xff\xff",
        bytes(range(256)),
    ],
    ids=lambda answer: repr(answer[:12]),
)
@pytest.mark.usefixtures("quick")
def test_something_that_is_no_broker_does_not_end_the_client(
    answer: bytes, make_client: MakeClient
) -> None:
    with server(answer) as (port, heard):
        client = make_client(port)
        client.start()
        wait_until(lambda: len(heard) >= 4, timeout=10)
        client.close()


@pytest.mark.usefixtures("quick")
def test_being_thrown_out_by_a_double_is_told_once(
    make_client: MakeClient, errors: list[Error]
) -> None:
    accepted, taken_over = b"\x20\x03\x00\x00\x00", b"\xe0\x01\x8e"
    with server(accepted + taken_over) as (port, heard):
        client = make_client(port)
        client.start()
        wait_until(lambda: len(heard) >= 4)
        client.poll()
        client.close()
    assert [error.code for error in errors] == ["broker"]
    assert "give each panel its own id" in errors[0].message


def test_events_published_from_many_threads_all_arrive(
    broker: Broker, monitor: Monitor, make_client: MakeClient, bus: EventBus
) -> None:
    client = make_client(broker.port)
    Publisher(bus, client)
    client.start()
    monitor.wait_for(ONLINE, "online")

    def tell(number: int) -> None:
        for index in range(50):
            event: Event = TranscriptReady(text=f"{number}/{index}", confidence=0.5)
            bus.publish(event)
            bus.publish(StateChanged(appliance=f"a{number}", property="p", value=str(index)))

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        monitor.wait_for(f"soripan/kitchen/state/a{number}/p", "49")
    wait_until(lambda: sum("/event/" in m.topic for m in monitor.messages) == 200)
    assert client.dropped == {}
