"""Countdown timers that survive a restart.

A Raspberry Pi has no clock of its own: after a power failure its time is that of the last shutdown
until the network corrects it, by hours or months at once. So a running timer counts on the
monotonic clock, which never jumps. The store keeps wall-clock deadlines, the only thing that means
something after a restart; when the wall clock jumps, timers of this run get new deadlines and
timers of an earlier run are reckoned anew from theirs.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from soripan.exc import TimerError
from soripan.store import Store

MOST: Final = 20
"""Timers that can run at once."""
LONGEST: Final = 24 * 3600
"""Seconds that a timer can have."""

_NAME: Final = "timers"
_JUMP: Final = 1.0
"""Seconds the wall clock must jump to count as corrected; drift is less."""


class Timer(msgspec.Struct, frozen=True):
    """A timer as it was started."""

    name: str | None
    seconds: int


class Finished(msgspec.Struct, frozen=True):
    """A timer that ran out."""

    timer: Timer
    late: bool
    """Whether it ran out while the panel was not running."""


class _Kept(msgspec.Struct):
    """A timer in the store."""

    timer: Timer
    deadline: float
    """Seconds since 1970."""


class _Running(msgspec.Struct):
    """A timer that counts."""

    timer: Timer
    end: float
    """Seconds of the monotonic clock."""
    deadline: float
    """Seconds since 1970."""
    restored: bool
    """Whether it was started in an earlier run."""


class Timers:
    """The timers of a panel. They belong to the pipeline's thread.

    Args:
        store: keeps them through a power failure; None: they are forgotten.
        wall: seconds since 1970.
        monotonic: seconds that never jump.
    """

    def __init__(
        self,
        store: Store | None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._wall = wall
        self._monotonic = monotonic
        self._begin = monotonic()
        self._offset = wall() - self._begin
        kept = store.load(_NAME, list[_Kept]) if store else None
        self._running = [
            _Running(each.timer, 0.0, each.deadline, restored=True) for each in (kept or [])[:MOST]
        ]
        self._reckon()

    def start(self, seconds: int, name: str | None = None) -> Timer:
        """Start a timer. One of that name that runs already is started anew instead.

        Raises:
            TimerError: ``timer_out_of_range`` (values ``low``, ``high``: seconds) or
                ``too_many_timers`` (value ``limit``).
        """
        if not 1 <= seconds <= LONGEST:
            raise TimerError(
                f"{seconds} s is not in 1..{LONGEST}",
                "timer_out_of_range",
                {"low": 1, "high": LONGEST},
            )
        others = [each for each in self._running if name is None or each.timer.name != name]
        if len(others) >= MOST:
            raise TimerError(f"{MOST} timers run already", "too_many_timers", {"limit": MOST})
        timer = Timer(name, seconds)
        self._running = [
            *others,
            _Running(timer, self._monotonic() + seconds, self._wall() + seconds, restored=False),
        ]
        self._save()
        return timer

    def cancel(self, name: str | None = None) -> Timer:
        """Stop a timer before it runs out.

        With no name it is the one started last, preferably one without a name: whoever cancels
        mostly corrects what they just said, and a timer without a name has no other way to go.

        Raises:
            TimerError: ``no_timer`` (value ``name``, if one was given): there is none.
        """
        found = [each for each in self._running if each.timer.name == name]
        if name is None and not found:
            found = list(self._running)
        if not found:
            raise TimerError(
                f"there is no timer “{name}”" if name else "no timer runs",
                "no_timer",
                {"name": name} if name else {},
            )
        self._running = [each for each in self._running if each is not found[-1]]
        self._save()
        return found[-1].timer

    def status(self, name: str | None = None) -> list[tuple[Timer, int]]:
        """The timers (of that name) with the seconds they have left, at least 1; soonest first."""
        now = self._monotonic()
        return [
            (each.timer, max(1, round(each.end - now)))
            for each in sorted(self._running, key=lambda each: each.end)
            if name is None or each.timer.name == name
        ]

    def poll(self) -> list[Finished]:
        """The timers that ran out since the last poll, in that order. Never waits."""
        now = self._monotonic()
        offset = self._wall() - now
        if abs(offset - self._offset) > _JUMP:
            self._offset = offset
            self._reckon()
            self._save()
        over = sorted((each for each in self._running if each.end <= now), key=lambda e: e.end)
        if over:
            self._running = [each for each in self._running if each.end > now]
            self._save()
        return [Finished(each.timer, late=each.end < self._begin) for each in over]

    def _reckon(self) -> None:
        """Make ends and deadlines agree with how the two clocks stand to each other."""
        now = self._monotonic()
        for each in self._running:
            if each.restored:
                # No timer has more left than it began with, whatever a wrong clock says.
                left = min(each.deadline - self._offset - now, each.timer.seconds)
                each.end = now + left
            else:
                each.deadline = each.end + self._offset

    def _save(self) -> None:
        if self._store is not None:
            self._store.save(_NAME, [_Kept(each.timer, each.deadline) for each in self._running])
