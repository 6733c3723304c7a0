"""Counts what is dropped, and says so now and then."""

import logging
import math
import threading
import time
from collections import Counter
from typing import Final

log = logging.getLogger(__name__)

_INTERVAL: Final = 10.0
"""Seconds between two lines about the same kind of thing."""
_LONGEST: Final = 300
"""Letters of a reason that are logged; what others sent may be in it."""


class Drops:
    """Counts what is dropped, and says so at most every ten seconds for each kind.

    Any thread may use it.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._said: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def count(self, what: str, why: str) -> None:
        """Count one more.

        Args:
            what: its kind; there are only a few of them.
            why: the reason, for the log.
        """
        now = time.monotonic()
        with self._lock:
            self.counts[what] += 1
            total = self.counts[what]
            then, before = self._said.get(what, (-math.inf, 0))
            if now - then < _INTERVAL:
                return
            self._said[what] = (now, total)
        # Nobody shall write lines of their own into the log.
        shown = "".join(c if c.isprintable() else "?" for c in why[:_LONGEST])
        log.warning("dropped: %d x %s, the last because: %s", total - before, what, shown)
