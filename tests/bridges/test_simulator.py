"""Bridge processes at a real broker: sharing, dying, coming back."""

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from soripan.mqtt.messages import encode
from support.bridges import ask, order, question, settings_file, start_bridge
from support.broker import Broker, Monitor, Received

AVAILABLE = "soripan/bridges/alexa/availability"
REPLY = "soripan/kitchen/reply"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(persistence=True) as running:
        yield running


@pytest.fixture
def monitor(broker: Broker) -> Iterator[Monitor]:
    with Monitor(broker.host, broker.port, REPLY, "soripan/bridges/#") as watching:
        yield watching


@pytest.fixture
def start(broker: Broker, monitor: Monitor, tmp_path: Path) -> Iterator[Start]:
    """Starts bridges, and waits until each has said that it is there."""
    running: list[subprocess.Popen[str]] = []

    def said_online() -> int:
        return sum((m.topic, m.payload) == (AVAILABLE, b"online") for m in monitor.messages)

    def begin(instance: str = "1", **values: str) -> subprocess.Popen[str]:
        file = settings_file(tmp_path, "simulator", broker.port, **values)
        before = said_online()
        running.append(start_bridge("simulator", file, instance))
        # It subscribes before it says so.
        monitor.wait(lambda _: said_online() > before)
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def reply_to(monitor: Monitor, request_id: str, count: int = 1) -> dict[str, Any]:
    """The reply to a request, when it has come ``count`` times."""

    def wanted(message: Received) -> bool:
        ids = [json.loads(m.text)["id"] for m in monitor.messages if m.topic == REPLY]
        return message.topic == REPLY and ids.count(request_id) >= count

    monitor.wait(wanted, timeout=15)
    bodies = [json.loads(m.text) for m in monitor.messages if m.topic == REPLY]
    found: dict[str, Any] = next(body for body in bodies if body["id"] == request_id)
    return found


def bought(folder: Path) -> list[tuple[str, int]]:
    """The shop's ledger."""
    with sqlite3.connect(folder / "state/shop.db") as database:
        return database.execute("SELECT id, quantity FROM bought").fetchall()


def test_it_answers(start: Start, monitor: Monitor, tmp_path: Path) -> None:
    start()
    request = order(2)
    ask(monitor, request)
    assert reply_to(monitor, request.id)["speech"] == "5,600원에 주문했어요."
    asked = question()
    ask(monitor, asked)
    assert reply_to(monitor, asked.id)["speech"] == "내일은 맑고 낮에는 십팔 도예요."
    music = question("노래 틀어 줘", language="en")
    ask(monitor, music)
    assert reply_to(monitor, music.id)["expect_answer"] is True
    assert bought(tmp_path) == [(request.id, 2)]


def test_what_comes_twice_is_done_once_and_answered_twice(
    start: Start, monitor: Monitor, tmp_path: Path
) -> None:
    start()
    request = order()
    for _ in range(3):
        ask(monitor, request)
    reply_to(monitor, request.id)
    ask(monitor, request)
    reply_to(monitor, request.id, count=2)
    assert bought(tmp_path) == [(request.id, 2)]


def test_two_processes_share_the_work_and_the_memory(
    start: Start, monitor: Monitor, tmp_path: Path
) -> None:
    start(delay="0.2", concurrency="1")
    start("2", delay="0.2", concurrency="1")
    time.sleep(0.3)
    requests = [order(panel=f"p{n}", reply_to=f"soripan/p{n}/reply") for n in range(6)]
    with Monitor(Broker.host, _port(monitor), "soripan/+/reply") as replies:
        for request in requests + requests:
            ask(monitor, request)
        for request in requests:
            replies.wait_for(f"soripan/{request.panel}/reply", timeout=15)
    assert sorted(bought(tmp_path)) == sorted((request.id, 2) for request in requests)


def _port(monitor: Monitor) -> int:
    port: int = monitor._client.port
    return port


def test_one_that_dies_between_doing_and_replying_loses_nothing(
    start: Start, monitor: Monitor, tmp_path: Path
) -> None:
    dying = start(die="1.0")
    request = order()
    ask(monitor, request)
    assert dying.wait(10) == 1
    monitor.wait_for(AVAILABLE, "offline")
    assert bought(tmp_path) == [(request.id, 2)]
    assert not [m for m in monitor.messages if m.topic == REPLY]
    monitor.clear()
    start()  # the broker has kept what the dead one did not acknowledge; nobody asks again
    assert reply_to(monitor, request.id)["status"] == "ok"
    assert bought(tmp_path) == [(request.id, 2)]


def test_who_is_left_says_so(start: Start, monitor: Monitor) -> None:
    first = start()
    start("2")
    for end in (signal.SIGKILL, signal.SIGTERM):
        monitor.clear()
        first.send_signal(end)
        monitor.wait_for(AVAILABLE, "offline")
        monitor.wait_for(AVAILABLE, "online")
        first = start("3")
        monitor.clear()


def test_it_ends_when_told_and_finishes_what_it_has(start: Start, monitor: Monitor) -> None:
    process = start(delay="1.0")
    request = order()
    ask(monitor, request)
    time.sleep(0.3)
    process.terminate()
    assert process.wait(10) == 0
    assert reply_to(monitor, request.id)["status"] == "ok"
    assert monitor.wait_for(AVAILABLE, "offline").retain
    metrics = json.loads(monitor.wait_for("soripan/bridges/alexa/metrics").text)
    assert (metrics["ok"], metrics["in_hand"]) == (1, 0)


def test_it_fails_when_told(start: Start, monitor: Monitor) -> None:
    start(fail="1.0")
    request = order()
    ask(monitor, request)
    assert reply_to(monitor, request.id)["status"] == "failed"


def test_out_of_stock_and_out_of_the_ordinary(start: Start, monitor: Monitor) -> None:
    start(other="0")
    request = order(2000)
    ask(monitor, request)
    said = reply_to(monitor, request.id)
    assert (said["status"], said["speech"]) == ("failed", "우유 재고가 모자라요.")
    request = order(text="벽돌", items=[{"name": "벽돌", "quantity": 1}])
    ask(monitor, request)
    assert reply_to(monitor, request.id)["speech"] == "벽돌 상품은 팔지 않아요."
    for quantity in (0, -5, 10**30):
        request = order(quantity)
        ask(monitor, request)
        assert reply_to(monitor, request.id)["status"] == "failed"
    request = order()
    ask(monitor, request)
    assert reply_to(monitor, request.id)["status"] == "ok"


def test_it_outlives_the_broker(start: Start, broker: Broker, monitor: Monitor) -> None:
    start()
    broker.kill()
    time.sleep(0.3)
    broker.start()
    with Monitor(broker.host, broker.port, REPLY) as later:
        request = order()
        deadline = time.monotonic() + 15
        while not later.messages:
            assert time.monotonic() < deadline
            ask(later, request)
            time.sleep(0.5)


def test_it_ends_in_time_even_with_something_in_hand(start: Start, monitor: Monitor) -> None:
    process = start(delay="50", deadline="60.0")
    ask(monitor, question())
    time.sleep(0.3)
    process.terminate()
    assert process.wait(9) == 0
    assert process.stderr is not None
    assert "1 requests were not finished" in process.stderr.read()


def test_two_of_the_same_name_on_one_machine(
    start: Start, broker: Broker, monitor: Monitor, tmp_path: Path
) -> None:
    first = start()
    file = settings_file(tmp_path, "simulator", broker.port)
    with pytest.raises(AssertionError, match="--instance"):
        start_bridge("simulator", file)
    request = order()
    ask(monitor, request)
    assert reply_to(monitor, request.id)["status"] == "ok"
    assert first.poll() is None


def test_two_of_the_same_name_do_not_fight(start: Start, tmp_path: Path) -> None:
    both = [start(), start(state=f'"{tmp_path / "elsewhere"}"')]
    deadline = time.monotonic() + 30
    while all(process.poll() is None for process in both):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    loser = next(process for process in both if process.poll() is not None)
    assert loser.returncode == 75
    assert loser.stderr is not None
    assert "--instance" in loser.stderr.read()


def test_replies_do_not_go_astray(start: Start, broker: Broker, monitor: Monitor) -> None:
    start()
    with Monitor(broker.host, broker.port, "#") as everything:
        for request in (
            order(reply_to="soripan/livingroom/reply"),
            order(reply_to="homeassistant/device/x/config"),
            order(reply_to="soripan/kitchen/set/tv/power"),
        ):
            ask(monitor, request)
        # A panel that says it is another one.
        liar = order(panel="livingroom", reply_to="soripan/livingroom/reply")
        monitor.publish("soripan/kitchen/request/alexa", json.dumps({"id": "x"}))
        monitor.publish("soripan/kitchen/request/alexa", encode(liar))
        last = question()
        ask(monitor, last)
        reply_to(monitor, last.id)
        time.sleep(0.2)
        answered = [m for m in everything.messages if '"status"' in m.text]
        assert [json.loads(m.text)["id"] for m in answered] == [last.id]
