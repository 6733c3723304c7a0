"""The driver of real pins, on gpiozero's mock of them."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from soripan.appliances import create
from soripan.appliances.gpio import GpioDriver, pin_factory
from soripan.config import FridgePins, FridgeSettings, LedPin, RelayPin, SwitchPin
from soripan.events import EventBus, StateChanged
from soripan.exc import DriverError

RELAY, LED, DOOR = 5, 6, 23
PINS = FridgePins(
    ice_maker=RelayPin(pin=RELAY, active_high=False),
    fridge_light=LedPin(pin=LED),
    fridge_door=SwitchPin(pin=DOOR, bounce=0.05),
)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    factory = MockFactory()
    monkeypatch.setattr(Device, "pin_factory", factory)
    yield factory
    factory.reset()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def driver(factory: Any, clock: Clock) -> Iterator[GpioDriver]:
    driver = GpioDriver(PINS.items(), clock=clock)
    yield driver
    driver.close()


def levels(factory: Any, pin: int) -> list[bool]:
    return [bool(each.state) for each in factory.pin(pin).states]


def test_an_active_low_relay_is_on_while_its_pin_is_low(driver: GpioDriver, factory: Any) -> None:
    driver.write("ice_maker", "on")
    assert factory.pin(RELAY).state == 0
    driver.write("ice_maker", "off")
    assert factory.pin(RELAY).state == 1


def test_an_led_is_lit_while_its_pin_is_high(driver: GpioDriver, factory: Any) -> None:
    driver.write("fridge_light", "on")
    assert factory.pin(LED).state == 1
    driver.write("fridge_light", "off")
    assert factory.pin(LED).state == 0


@pytest.mark.parametrize(("value", "level"), [("off", True), ("on", False)])
def test_a_relay_goes_straight_to_its_first_value(factory: Any, value: str, level: bool) -> None:
    factory.pin(RELAY).clear_states()
    driver = GpioDriver(PINS.items())
    driver.write("ice_maker", value)
    driver.write("ice_maker", value)
    # The first is the level that the pin had as an input.
    assert set(levels(factory, RELAY)[1:]) <= {level}
    assert factory.pin(RELAY).state == level
    driver.close()


def test_what_is_on_no_pin_is_ignored(driver: GpioDriver, factory: Any) -> None:
    driver.write("power_cool", "on")
    driver.write("fridge_temperature", "3")
    driver.write("fridge_door", "open")
    assert factory.pin(DOOR).function == "input"


def test_the_first_poll_tells_where_the_door_stands(factory: Any) -> None:
    driver = GpioDriver(PINS.items())
    assert driver.poll() == [("fridge_door", "open")]  # pulled up, no contact
    driver.close()
    driver = GpioDriver(PINS.items())
    factory.pin(DOOR).drive_low()
    assert driver.poll() == [("fridge_door", "closed")]
    driver.close()


def test_a_door_counts_when_it_has_come_to_rest(
    driver: GpioDriver, factory: Any, clock: Clock
) -> None:
    pin = factory.pin(DOOR)
    pin.drive_low()
    assert driver.poll() == [("fridge_door", "closed")]
    for _ in range(20):  # 20 bounces of 20 ms, each end of them seen
        pin.drive_high()
        assert driver.poll() == []
        clock.now += 0.01
        pin.drive_low()
        assert driver.poll() == []
        clock.now += 0.01
    pin.drive_high()
    assert driver.poll() == []
    clock.now += 0.049
    assert driver.poll() == []
    clock.now += 0.002
    assert driver.poll() == [("fridge_door", "open")]
    clock.now += 10.0
    assert driver.poll() == []


def test_a_bounce_that_falls_back_is_no_change(
    driver: GpioDriver, factory: Any, clock: Clock
) -> None:
    driver.poll()
    factory.pin(DOOR).drive_low()
    driver.poll()
    factory.pin(DOOR).drive_high()
    for _ in range(5):
        clock.now += 0.08
        assert driver.poll() == []


def test_without_bounce_a_change_counts_at_once(factory: Any, clock: Clock) -> None:
    driver = GpioDriver([("fridge_door", SwitchPin(pin=DOOR, bounce=0.0))], clock=clock)
    driver.poll()
    factory.pin(DOOR).drive_low()
    assert driver.poll() == [("fridge_door", "closed")]
    driver.close()


def test_events_come_on_the_thread_that_polls(factory: Any) -> None:
    """The pin changes on another thread, as with real hardware; nothing is told from there."""
    bus = EventBus()
    told: list[tuple[str, int]] = []
    bus.subscribe(StateChanged, lambda event: told.append((event.value, threading.get_ident())))
    factory.pin(DOOR).drive_low()
    fridge = create(FridgeSettings(driver="gpio", gpio=PINS), bus)
    pin = factory.pin(DOOR)
    swinging = threading.Thread(
        target=lambda: [each() for each in (pin.drive_low, pin.drive_high) for _ in range(500)]
    )
    swinging.start()
    while swinging.is_alive():
        fridge.poll()
    swinging.join()
    before = fridge.get("fridge_door")
    pin.drive_low() if before == "open" else pin.drive_high()
    deadline = threading.Event()
    while fridge.get("fridge_door") == before:
        fridge.poll()
        deadline.wait(0.01)
    assert {thread for _, thread in told} == {threading.get_ident()}
    assert told[-1][0] == fridge.get("fridge_door")
    fridge.close()


def test_a_fridge_on_pins(factory: Any) -> None:
    fridge = create(FridgeSettings(driver="gpio", gpio=PINS), EventBus())
    assert fridge.get("fridge_door") == "open"
    assert factory.pin(RELAY).state == 1  # off, active low
    fridge.handle("TurnOn", {"target": "ice_maker"})
    assert factory.pin(RELAY).state == 0
    fridge.close()
    assert factory.pin(RELAY).function == "input"


def test_a_pin_that_is_taken_is_named(factory: Any) -> None:
    driver = GpioDriver(PINS.items())
    with pytest.raises(DriverError, match=rf"pin {DOOR} \(fridge_door\)"):
        GpioDriver(PINS.items())
    driver.close()


def test_a_pin_that_fails_is_named(driver: GpioDriver, factory: Any) -> None:
    driver.write("ice_maker", "on")
    factory.pin(RELAY).function = "input"  # the mock refuses to write to it now
    with pytest.raises(DriverError, match=rf"pin {RELAY} \(ice_maker\)"):
        driver.write("ice_maker", "off")


def test_without_pins_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "none-such")
    with pytest.raises(DriverError) as caught:
        pin_factory()
    assert "none-such" in str(caught.value)
    assert "apt install python3-lgpio" in str(caught.value)
    assert "--system-site-packages" in str(caught.value)


FAKE_LGPIO = """
import os, pathlib
pathlib.Path(os.environ.get("LG_WD", "."), ".lgd-nfy0").touch()
raise ImportError("a stub of lgpio")
"""


@pytest.mark.parametrize("given", ["", "RUNTIME_DIRECTORY", "LG_WD"])
def test_lgpio_writes_where_it_may(tmp_path: Path, given: str) -> None:
    """lgpio leaves a file at import; the working directory of a service is not the place."""
    (tmp_path / "lgpio.py").write_text(FAKE_LGPIO)
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    keep = {k: v for k, v in os.environ.items() if k not in ("LG_WD", "RUNTIME_DIRECTORY")}
    program = """
import os
from soripan.appliances.gpio import pin_factory
from soripan.exc import DriverError
try:
    pin_factory()
except DriverError as error:
    print(error)
print(os.listdir(os.environ["LG_WD"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=work,
        env=keep | {"PYTHONPATH": str(tmp_path)} | ({given: str(scratch)} if given else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ".lgd-nfy0" in done.stdout
    assert "a stub of lgpio" in done.stdout + done.stderr
    assert list(work.iterdir()) == []
    assert bool(list(scratch.iterdir())) == bool(given)
