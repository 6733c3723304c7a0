"""What the panel does itself, without any appliance: timers, the time, help, repeating."""

import time
from collections.abc import Callable
from typing import Any

from soripan.dialog.responses import Responses
from soripan.dialog.timers import Finished, Timers
from soripan.nlu.intents import Intent


class Builtin:
    """Answers the intents of the panel itself.

    Args:
        timers: those that are running.
        responses: the sentences to answer with.
        clock: the local time.
    """

    def __init__(
        self,
        timers: Timers,
        responses: Responses,
        clock: Callable[[], time.struct_time] = time.localtime,
    ) -> None:
        self._timers = timers
        self._responses = responses
        self._clock = clock
        self._last_speech = ""

    def said(self, speech: str) -> None:
        """Remember what the panel said last, for Repeat."""
        if speech:
            self._last_speech = speech

    def handle(self, intent: Intent) -> str | None:
        """Do what was asked, and return what to say; None if it is not for the panel itself.

        Raises:
            TimerError: a timer cannot be had.
        """
        match intent.name:
            case "StartTimer":
                return self._start(intent.slots)
            case "CancelTimer":
                cancelled = self._timers.cancel(intent.slots.get("name"))
                return self._timer("timer_cancelled", cancelled.name, cancelled.seconds)
            case "TimerStatus":
                return self._status(intent.slots.get("name"))
            case "GetTime":
                now = self._clock()
                return self._responses.time(now.tm_hour, now.tm_min)
            case "GetDate":
                now = self._clock()
                return self._responses.date(now.tm_year, now.tm_mon, now.tm_mday, now.tm_wday)
            case "Repeat":
                return self._last_speech or self._responses.text("repeat_nothing")
            case "Help" | "Stop" | "Yes" | "No":
                return self._responses.text(intent.name.lower())
        return None

    def poll(self) -> list[tuple[Finished, str]]:
        """The timers that ran out since the last poll, each with what to say."""
        return [
            (
                done,
                self._timer(
                    "timer_done_late" if done.late else "timer_done",
                    done.timer.name,
                    done.timer.seconds,
                ),
            )
            for done in self._timers.poll()
        ]

    def _start(self, slots: Any) -> str:
        timer = self._timers.start(slots["seconds"], slots.get("name"))
        return self._timer("timer_started", timer.name, timer.seconds)

    def _status(self, name: str | None) -> str:
        running = self._timers.status(name)
        if not running:
            return self._responses.text("no_timer")
        return " ".join(self._timer("timer_status", t.name, left) for t, left in running)

    def _timer(self, key: str, name: str | None, seconds: int) -> str:
        duration = self._responses.duration(seconds)
        if name is None:
            return self._responses.text(key, duration=duration)
        return self._responses.text(f"{key}_named", duration=duration, name=name)
