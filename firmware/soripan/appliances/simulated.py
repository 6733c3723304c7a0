"""An appliance without hardware: for trying things out, and for tests."""

import threading

from soripan.appliances.driver import Driver


class SimulatedDriver(Driver):
    """Keeps everything in memory."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        """What was written, and what was pressed."""
        self._pressed: dict[str, str] = {}
        self._lock = threading.Lock()

    def write(self, name: str, value: str) -> None:
        """Remember the value."""
        self.values[name] = value

    def press(self, name: str, value: str) -> None:
        """Change a property as somebody at the appliance would: open a door. Any thread may."""
        with self._lock:
            self.values[name] = value
            self._pressed[name] = value

    def poll(self) -> list[tuple[str, str]]:
        """What was pressed since the last poll; of each property the newest value."""
        with self._lock:
            pressed, self._pressed = self._pressed, {}
        return list(pressed.items())

    def close(self) -> None:
        """Nothing to let go."""
