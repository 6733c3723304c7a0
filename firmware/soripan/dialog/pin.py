"""The spoken PIN that orders can be made to need."""

import hmac
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from soripan.exc import ConfigError

TRIES: Final = 3
"""Wrong PINs in a row after which none counts for a while."""
LOCK: Final = 900.0
"""Seconds of that while: ten thousand PINs of four digits then take weeks to try."""


class Pin:
    """A PIN, and who has guessed at it.

    Args:
        digits: four to eight.
        path: of the file it came from, for errors.
        clock: seconds that never go back.

    Raises:
        ConfigError: it is no PIN.
    """

    def __init__(
        self, digits: str, path: Path | str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not re.fullmatch(r"[0-9]{4,8}", digits):
            raise ConfigError(
                path, "shopping.pin_file", "holds no PIN", "write 4 to 8 digits there"
            )
        self._digits = digits
        self._clock = clock
        self._wrong = 0
        self._locked_until = 0.0

    @property
    def locked(self) -> bool:
        """Whether it was guessed at too often just now."""
        return self._clock() < self._locked_until

    def matches(self, digits: str) -> bool:
        """Whether this is it. While it is locked, nothing is."""
        if self.locked:
            return False
        if hmac.compare_digest(digits, self._digits):
            self._wrong = 0
            return True
        self._wrong += 1
        if self._wrong >= TRIES:
            self._wrong, self._locked_until = 0, self._clock() + LOCK
        return False
