"""The panel's microphone switch, on gpiozero's mock of the pins."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from soripan import mute
from soripan.audio.microphone import MicrophoneSource
from soripan.config import GpioSettings
from soripan.events import EventBus, Mute

BUTTON, LED = 17, 27


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pins = MockFactory()
    monkeypatch.setattr(Device, "pin_factory", pins)
    yield pins
    pins.reset()


def wait_until(switch: mute.MuteSwitch, holds: Callable[[], bool]) -> None:
    """Poll, for the contact must rest before it counts."""
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "nothing happened"
        switch.poll()
        time.sleep(0.01)


def test_no_pins_no_driver() -> None:
    assert mute.open_driver(GpioSettings()) is None


@pytest.mark.parametrize("led", [LED, None])
def test_the_switch_turns_the_microphone_off_and_on(factory: Any, led: int | None) -> None:
    bus, told = EventBus(), list[bool]()
    bus.subscribe(Mute, lambda event: told.append(event.muted))
    microphone = MicrophoneSource("", 1.0)
    driver = mute.open_driver(GpioSettings(mute_button=BUTTON, mute_led=led))
    assert driver is not None
    switch = mute.MuteSwitch(driver, bus, microphone)
    try:
        switch.poll()
        assert (microphone.muted, told) == (False, [])
        factory.pin(BUTTON).drive_low()
        wait_until(switch, lambda: microphone.muted)
        switch.poll()
        assert told == [True]
        assert led is None or factory.pin(led).state
        factory.pin(BUTTON).drive_high()
        wait_until(switch, lambda: not microphone.muted)
        assert told == [True, False]
        assert led is None or not factory.pin(led).state
    finally:
        driver.close()


def test_a_switch_that_is_closed_at_the_start(factory: Any) -> None:
    microphone = MicrophoneSource("", 1.0)
    driver = mute.open_driver(GpioSettings(mute_button=BUTTON))
    assert driver is not None
    factory.pin(BUTTON).drive_low()
    try:
        mute.MuteSwitch(driver, EventBus(), microphone).poll()
        assert microphone.muted, "it must not hear even for a moment"
    finally:
        driver.close()
