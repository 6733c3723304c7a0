"""Relays, LEDs and door switches on the pins of the Raspberry Pi.

gpiozero is imported only here and only when it is needed, so that a panel without pins starts
without it.
"""

import atexit
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from soripan.appliances.driver import Driver
from soripan.config import AnyPin, LedPin, OutputPin, SwitchPin
from soripan.exc import DriverError

log = logging.getLogger(__name__)


class GpioDriver(Driver):
    """An appliance on pins.

    Inputs are not taken from gpiozero's edge callbacks, which come on a thread of its own and leave
    bouncing to the pin library: :meth:`poll` reads the level of each switch, which takes
    microseconds, and reports it once it has rested for the switch's ``bounce`` seconds. So there
    is nothing to queue, and no edge to miss.

    Args:
        pins: the properties that are on a pin, with their pins.
        clock: seconds that never go back.

    Raises:
        DriverError: there are no pins here, or one cannot be had.
    """

    def __init__(
        self,
        pins: Iterable[tuple[str, AnyPin]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        pin_factory()
        self._clock = clock
        self._pins: dict[str, OutputPin] = {}
        self._outputs: dict[str, Any] = {}
        self._switches: dict[str, _Switch] = {}
        for name, pin in pins:
            if isinstance(pin, SwitchPin):
                self._switches[name] = _Switch(self._open(name, pin), pin)
            else:
                self._pins[name] = pin

    def write(self, name: str, value: str) -> None:
        """Switch the pin of an on/off property; one without a pin is ignored."""
        if name not in self._pins:
            return
        on = value == "on"
        if name not in self._outputs:
            # Opened with its first value, so that a relay does not click off and on at the start.
            self._outputs[name] = self._open(name, self._pins[name], on)
            return
        with _driver_errors(name, self._pins[name]):
            self._outputs[name].value = on

    def poll(self) -> list[tuple[str, str]]:
        """The switches that changed since the last poll; at the first, all of them."""
        now = self._clock()
        changes = []
        for name, switch in self._switches.items():
            with _driver_errors(name, switch.pin):
                closed = bool(switch.device.is_active)
            if switch.settles(closed, now):
                changes.append((name, "closed" if closed else "open"))
        return changes

    def close(self) -> None:
        """Give all pins back; they become inputs, so relays drop out."""
        for device in self._outputs.values():
            device.close()
        for switch in self._switches.values():
            switch.device.close()

    def _open(self, name: str, pin: AnyPin, on: bool = False) -> Any:
        import gpiozero  # noqa: PLC0415

        with _driver_errors(name, pin):
            if isinstance(pin, SwitchPin):
                return gpiozero.InputDevice(pin.pin, pull_up=True)
            kind = gpiozero.LED if isinstance(pin, LedPin) else gpiozero.DigitalOutputDevice
            return kind(pin.pin, active_high=pin.active_high, initial_value=on)


class _Switch:
    """A switch's device, and whether its contact has come to rest."""

    def __init__(self, device: Any, pin: SwitchPin) -> None:
        self.device = device
        self.pin = pin
        self._level: bool | None = None
        self._since = 0.0
        self._settled: bool | None = None

    def settles(self, level: bool, now: float) -> bool:
        """Take a reading; return whether it is a change that counts."""
        if level != self._level:
            self._level, self._since = level, now
        resting = self._settled is None or now - self._since >= self.pin.bounce
        if level == self._settled or not resting:
            return False
        self._settled = level
        return True


def pin_factory() -> Any:
    """gpiozero's access to the pins of this Raspberry Pi.

    Raises:
        DriverError: there is none; the message says what to install.
    """
    # lgpio puts its .lgd-nfy* files into the working directory, which a service may not write to,
    # unless LG_WD names another folder before it is imported.
    if "LG_WD" not in os.environ:
        os.environ["LG_WD"] = _scratch_folder()
    try:
        import gpiozero  # noqa: PLC0415
    except ImportError as error:
        raise DriverError(f"gpiozero is not installed: {error} (pip install gpiozero)") from error
    with warnings.catch_warnings(record=True) as fallbacks:
        warnings.simplefilter("always")
        try:
            gpiozero.Device.ensure_pin_factory()
        except Exception as error:  # each pin library has errors of its own
            tried = "; ".join(str(fallback.message) for fallback in fallbacks) or error
            raise DriverError(
                f"no access to the pins: {tried} (on a Raspberry Pi: apt install python3-lgpio, "
                "and a venv made with --system-site-packages; elsewhere: driver = “simulated”)"
            ) from error
    for fallback in fallbacks:
        log.warning("gpiozero: %s", fallback.message)
    return gpiozero.Device.pin_factory


def _scratch_folder() -> str:
    """A folder for files that nobody needs after this run."""
    if folder := os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        return folder
    folder = tempfile.mkdtemp(prefix="soripan-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def _driver_errors(name: str, pin: AnyPin) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each pin library has errors of its own
        raise DriverError(f"pin {pin.pin} ({name}): {error}") from error
