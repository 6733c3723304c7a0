"""The in-process event bus, and the events on it.

The pipeline tells what it does by publishing; MQTT, sounds, LEDs and the terminal listen. A handler
runs in the thread that publishes, usually the pipeline's, so it must not wait for anything.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened on the panel. ``topic`` names its MQTT event topic, if it has one."""

    topic: ClassVar[str | None] = None

    session: str | None = None
    """Id of the session (wake word to answer) it belongs to; None outside of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake(Event):
    """A wake word was heard."""

    topic = "wake"
    wake_word: str
    assistant: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(Event):
    """The panel began to listen for a command, or stopped."""

    topic = "listening"
    state: str
    """``started`` or ``ended``."""
    reason: str | None = None
    """Why it ended: ``complete``, ``endpoint``, ``no_speech``, ``too_long``, ``muted``,
    ``stopped``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptReady(Event):
    """The recogniser finished an utterance."""

    topic = "transcript"
    text: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentReady(Event):
    """The parser understood an utterance."""

    topic = "intent"
    text: str
    intent: str
    slots: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Event):
    """The panel did something itself, and what it says about it."""

    topic = "action"
    intent: str
    appliance: str | None = None
    changes: Mapping[str, str] = field(default_factory=dict)
    """Properties that were set, with their new values as on the state topics."""
    speech: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMade(Event):
    """A request was taken, and is sent to an assistant. The request itself is on its own topic."""

    topic = "request"
    id: str
    assistant: str
    kind: str
    text: str
    speech: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Event):
    """The panel asked something, and listens for the answer without a wake word."""

    topic = "question"
    about: str
    """``order``, or the assistant that wants to know."""
    speech: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReady(Event):
    """An assistant answered, and what the panel says then."""

    topic = "reply"
    id: str
    """Of the request."""
    assistant: str
    status: str
    """``ok``, ``failed`` or ``unsupported``."""
    speech: str
    display: str | None = None
    """What to show, if it is not what is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Event):
    """Something was refused or failed, and what the panel says about it."""

    topic = "error"
    code: str
    """Short and stable, for programs: ``no_speech``, ``out_of_range``, ``queue_full`` ..."""
    message: str
    """For whoever watches, in English."""
    speech: str | None = None
    """For the person in front of the panel, in the panel's language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(Event):
    """The microphone was switched off or on."""

    topic = "mute"
    muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerDone(Event):
    """A timer ran out."""

    topic = "timer"
    name: str | None
    seconds: int
    speech: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """A property of an appliance has a new value (published on its state topic, retained)."""

    appliance: str
    property: str
    value: str


E_ = TypeVar("E_", bound=Event)


class EventBus:
    """Calls each handler of an event's class, or of one of its bases, in order of subscription."""

    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, kind: type[E_], handler: Callable[[E_], None]) -> None:
        """Call ``handler`` for every event of class ``kind`` (``Event`` itself: for all)."""
        self._handlers[kind].append(handler)

    def publish(self, event: Event) -> None:
        """Tell all who want to know. A handler that raises is logged and does no further harm."""
        for kind in type(event).__mro__:
            for handler in self._handlers.get(kind, ()):
                try:
                    handler(event)
                except Exception:
                    log.exception("handler of %s failed", type(event).__name__)
