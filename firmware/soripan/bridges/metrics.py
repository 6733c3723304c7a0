"""Counts what a bridge does, for whoever watches."""

import statistics
import threading
from collections import Counter, deque
from typing import Any, Final

LAST: Final = 1000
"""Requests over which the percentiles are taken."""
_COUNTED: Final = ("ok", "failed", "unsupported", "duplicate", "unavailable", "expired", "refused")


class Metrics:
    """Counters and times of one process. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._seconds: deque[float] = deque(maxlen=LAST)
        self.in_hand = 0
        """Requests that are worked on, or wait for it."""

    def count(self, what: str, seconds: float | None = None) -> None:
        """Count what became of a request, and how long it took."""
        with self._lock:
            self._counts[what] += 1
            if seconds is not None:
                self._seconds.append(seconds)

    def snapshot(self) -> dict[str, Any]:
        """All of it, fit for JSON. Percentiles are of the last thousand requests, in seconds."""
        with self._lock:
            seconds = list(self._seconds)
            counts = {name: self._counts[name] for name in _COUNTED}
        cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else []
        times = {f"p{n}": round(cuts[n - 1], 3) for n in (50, 95, 99)} if cuts else {}
        return {**counts, "in_hand": self.in_hand, "seconds": times}
