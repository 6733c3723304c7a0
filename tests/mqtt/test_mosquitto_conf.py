"""The broker's configuration in ``config/mosquitto`` works, and its ACL says what it should."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from soripan.config import MqttSettings
from soripan.events import Error, EventBus, StateChanged, Wake
from soripan.mqtt.client import Client, SetMessage
from soripan.mqtt.messages import Request
from soripan.mqtt.publisher import Publisher
from support.broker import Broker, Monitor

FOLDER = Path(__file__).parents[2] / "config/mosquitto"
USERS = ["kitchen", "livingroom", "alexa", "google", "home", "homeassistant", "monitor"]
PASSWORD = "moon"  # noqa: S105


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker with our file; only the paths, the port and the user are others."""
    with Broker(users=dict.fromkeys(USERS, PASSWORD)) as made:
        made.stop()
        text = (FOLDER / "mosquitto.conf").read_text()
        for old, new in {
            "listener 1883": f"listener {made.port} {made.host}",
            "/etc/mosquitto/passwords": str(made.folder / "passwords"),
            "/etc/mosquitto/acl": str(made.folder / "acl"),
            "/var/lib/mosquitto/": f"{made.folder}/",
            "/run/mosquitto/mosquitto.pid": str(made.folder / "pid"),
        }.items():
            assert f"\n{old}\n" in text or f" {old}\n" in text, old
            text = text.replace(f"\n{old}\n", f"\n{new}\n").replace(f" {old}\n", f" {new}\n")
        user = next(line for line in made.config.read_text().splitlines() if "user " in line)
        made.config.write_text(f"{text}\n{user}\n")
        acl = made.folder / "acl"
        acl.touch(mode=0o600)
        acl.write_bytes((FOLDER / "acl").read_bytes())
        made.start()
        yield made


Enter = Callable[..., Monitor]


@pytest.fixture
def enter(broker: Broker) -> Iterator[Enter]:
    with ExitStack() as stack:

        def connect(name: str, *filters: str) -> Monitor:
            monitor = Monitor(broker.host, broker.port, *filters, username=name, password=PASSWORD)
            return stack.enter_context(monitor)

        yield connect


def test_nobody_gets_in_without_a_password(broker: Broker) -> None:
    with pytest.raises(ConnectionError, match="Not authorized"):
        Monitor(broker.host, broker.port)


MAY = [
    ("kitchen", "soripan/kitchen/availability", "monitor"),
    ("kitchen", "soripan/kitchen/state/fridge/door", "homeassistant"),
    ("kitchen", "soripan/kitchen/state/tv/power", "alexa"),
    ("kitchen", "soripan/kitchen/event/wake", "monitor"),
    ("kitchen", "soripan/kitchen/request/alexa", "alexa"),
    ("kitchen", "soripan/kitchen/request/google", "google"),
    ("kitchen", "homeassistant/device/kitchen/config", "homeassistant"),
    ("alexa", "soripan/kitchen/reply", "kitchen"),
    ("alexa", "soripan/bridges/alexa/availability", "livingroom"),
    ("alexa", "soripan/livingroom/set/tv/power", "livingroom"),
    ("google", "soripan/livingroom/reply", "livingroom"),
    ("homeassistant", "soripan/kitchen/set/fridge/fridge_temperature", "kitchen"),
]
MAY_NOT = [
    ("kitchen", "soripan/livingroom/availability", "monitor"),
    ("kitchen", "soripan/livingroom/state/tv/power", "monitor"),
    ("kitchen", "soripan/livingroom/set/tv/power", "monitor"),
    ("kitchen", "soripan/bridges/alexa/availability", "monitor"),
    ("kitchen", "soripan/kitchen/reply", "monitor"),
    ("kitchen", "soripan/kitchen/request/alexa", "google"),
    ("kitchen", "soripan/kitchen/request/alexa", "livingroom"),
    ("kitchen", "soripan/kitchen/event/transcript", "alexa"),
    ("alexa", "soripan/kitchen/reply", "livingroom"),
    ("alexa", "soripan/bridges/google/availability", "monitor"),
    ("alexa", "soripan/kitchen/state/tv/power", "monitor"),
    ("google", "soripan/kitchen/set/tv/power", "kitchen"),
    ("homeassistant", "soripan/kitchen/reply", "kitchen"),
    ("monitor", "soripan/kitchen/set/tv/power", "kitchen"),
]


def passes(enter: Enter, writer: str, topic: str, reader: str) -> bool:
    """Whether what ``writer`` publishes gets to ``reader``; "granted" would prove nothing."""
    with enter(reader, topic) as reading:
        # A message that certainly passes, behind the one in question.
        enter("homeassistant", "none").publish("homeassistant/mark", "x")
        enter(writer, "none").publish(topic, "test")
        time.sleep(0.1)
        return bool(reading.messages)


@pytest.mark.parametrize(("writer", "topic", "reader"), MAY)
def test_what_the_acl_allows(writer: str, topic: str, reader: str, enter: Enter) -> None:
    assert passes(enter, writer, topic, reader)


@pytest.mark.parametrize(("writer", "topic", "reader"), MAY_NOT)
def test_what_the_acl_denies(writer: str, topic: str, reader: str, enter: Enter) -> None:
    assert not passes(enter, writer, topic, reader)


def test_bridges_share_the_requests_under_the_acl(enter: Enter) -> None:
    shared = "$share/alexa/soripan/+/request/alexa"
    bridges = [enter("alexa", shared), enter("alexa", shared)]
    panel = enter("kitchen", "none")
    for number in range(6):
        panel.publish("soripan/kitchen/request/alexa", str(number))
    deadline = time.monotonic() + 5
    while sum(len(b.messages) for b in bridges) < 6 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted(m.text for b in bridges for m in b.messages) == list("012345")
    assert all(len(b.messages) == 3 for b in bridges)


def test_all_that_a_panel_does_is_allowed(
    broker: Broker,
    enter: Enter,
    tmp_path: Path,
    bus: EventBus,
    errors: list[Error],
    make_request: Callable[..., Request],
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    settings = MqttSettings(
        host=broker.host, port=broker.port, username="kitchen", password_file=str(password)
    )
    client = Client(settings, "kitchen", bus)
    Publisher(bus, client)
    watching = enter("monitor", "soripan/#")
    client.start()
    try:
        watching.wait_for("soripan/kitchen/availability", "online")
        bus.publish(StateChanged(appliance="fridge", property="door", value="open"))
        bus.publish(Wake(wake_word="w", assistant="alexa", score=1.0))
        client.publish_request(make_request(), 30)
        watching.wait_for("soripan/kitchen/state/fridge/door", "open")
        watching.wait_for("soripan/kitchen/event/wake")
        watching.wait_for("soripan/kitchen/request/alexa")
        enter("homeassistant", "none").publish("soripan/kitchen/set/tv/power", "on")
        deadline = time.monotonic() + 5
        while not (messages := client.poll()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert messages == [SetMessage("tv", "power", "on")]
    finally:
        client.close()
    assert errors == []


def test_retained_messages_survive_a_power_failure(broker: Broker, enter: Enter) -> None:
    enter("kitchen", "none").publish("soripan/kitchen/state/fridge/light", "on", retain=True)
    time.sleep(2.5)  # autosave_interval is 1
    broker.kill()
    broker.start()
    enter("monitor", "soripan/#").wait_for("soripan/kitchen/state/fridge/light", "on")
