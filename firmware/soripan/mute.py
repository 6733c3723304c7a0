"""The switch on the panel that turns its microphone off."""

from soripan.appliances.driver import Driver
from soripan.appliances.gpio import GpioDriver
from soripan.audio.microphone import MicrophoneSource
from soripan.config import AnyPin, GpioSettings, LedPin, SwitchPin
from soripan.events import EventBus, Mute


def open_driver(settings: GpioSettings) -> Driver | None:
    """The switch and its light; None if the config has none.

    Raises:
        DriverError: there are no pins here, or one cannot be had.
    """
    pins: list[tuple[str, AnyPin]] = []
    if settings.mute_button is not None:
        pins.append(("button", SwitchPin(pin=settings.mute_button)))
    if settings.mute_led is not None:
        pins.append(("led", LedPin(pin=settings.mute_led)))
    return GpioDriver(pins) if pins else None


class MuteSwitch:
    """The panel's own switch that turns the microphone off, and its light.

    Args:
        driver: has the contact ``button`` and the light ``led``.
        bus: told when it changes.
        microphone: what it turns off.
    """

    def __init__(self, driver: Driver, bus: EventBus, microphone: MicrophoneSource) -> None:
        self._driver = driver
        self._bus = bus
        self._microphone = microphone

    def poll(self) -> None:
        """Follow the switch. Never waits."""
        for _, value in self._driver.poll():
            self.set(muted=value == "closed")

    def set(self, *, muted: bool) -> None:
        """Turn the microphone off or on."""
        if muted == self._microphone.muted:
            return
        if muted:
            self._microphone.mute()
        else:
            self._microphone.unmute()
        self._driver.write("led", "on" if muted else "off")
        self._bus.publish(Mute(muted=muted))
