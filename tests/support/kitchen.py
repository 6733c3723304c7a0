"""A panel without ears, with everything else real: it is spoken to with texts."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from soripan import config
from soripan.events import Event, EventBus, ReplyReady, StateChanged
from soripan.mqtt.client import Client
from soripan.mqtt.outbox import Entry, Outbox, read
from soripan.panel import Panel


class Kitchen:
    """The panel "kitchen", and what it told.

    Args:
        file: its ``panel.toml``.
        folder: for its outbox.
        tables: of the settings, in place of those of the file.
    """

    def __init__(self, file: Path, folder: Path, **tables: Any) -> None:
        self.events: list[Event] = []
        bus = EventBus()
        bus.subscribe(Event, self.events.append)
        loaded = config.load(file)
        changed = msgspec.structs.replace(loaded.settings, **tables)
        self.client = Client(changed.mqtt, "kitchen", bus)
        self.outbox = Outbox(folder)
        self._folder = folder
        replaced = msgspec.structs.replace(loaded, settings=changed)
        self.panel = Panel(replaced, bus, None, self.client, self.outbox)
        self.client.start()

    def close(self) -> None:
        """Stop in good order."""
        self.client.close()
        self.panel.close()
        self.outbox.close()

    def meet(self, *assistants: str) -> None:
        """Wait until it knows that these are there."""
        self.until(lambda: all(self.client.bridge(each) for each in assistants))

    def attend(self, seconds: float) -> None:
        """Let it look after what comes in for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.panel.attend()
            time.sleep(0.01)

    def until(self, condition: Callable[[], object], timeout: float = 10) -> None:
        """Let it look after what comes in until something has happened."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, self.events
            self.attend(0.01)

    def told(self, kind: type[Event]) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def reply(self) -> ReplyReady:
        """The reply that came last; waits for the first."""
        self.until(lambda: self.told(ReplyReady))
        answer: ReplyReady = self.told(ReplyReady)[-1]
        return answer

    @property
    def kept(self) -> tuple[Entry, ...]:
        """What is in its outbox."""
        return read(self._folder)[0]

    @property
    def shopping(self) -> list[Any]:
        """Its shopping list, as published."""
        lists = [e for e in self.told(StateChanged) if e.appliance == "shopping"]
        found: list[Any] = json.loads(lists[-1].value)
        return found
