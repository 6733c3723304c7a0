"""Who does what was asked: the panel itself, or an assistant behind MQTT.

The panel comes first: whatever wake word was used, what it can do itself it does. For the rest
there is an order of preference: the assistant named in the sentence, the one the wake word
addresses, and the list of the config. Who of them gets it depends on who is there and answers
(``mqtt.delivery``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from soripan.config import RouterSettings
from soripan.nlu.intents import ANSWERS, Intent

PANEL: Final = "panel"
"""The assistant that is the panel itself."""

_SHOPPING: Final = frozenset({"ShoppingAdd", "ShoppingOrder"})
_SHORTEST: Final = 2
"""Letters that an utterance must have to be worth anybody's attention; a cough has fewer."""

Decision = Literal["local", "away", "rejected"]
Kind = Literal["unresolved", "shopping", "directed"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where an utterance goes."""

    decision: Decision
    kind: Kind | None = None
    """Of the request, if it goes away."""
    assistants: tuple[str, ...] = ()
    """Who may get it if it goes away, in order of preference."""
    text: str = ""
    """What the assistant is told."""


class Router:
    """Decides by intent, wake word and preference."""

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings

    def route(self, intent: Intent | None, text: str, confidence: float, addressed: str) -> Route:
        """Decide about an utterance.

        Args:
            intent: what the parser made of it, if anything.
            text: the transcript.
            confidence: of the transcript, 0..1.
            addressed: the assistant that the wake word addresses.
        """
        named = () if addressed == PANEL else (addressed,)
        if intent is None or intent.name in ANSWERS - {"Yes", "No"}:
            return self._unresolved(text, confidence, named)
        if intent.name in _SHOPPING:
            return _away("shopping", text, named, self._settings.shopping)
        if intent.name == "AskAssistant":
            asked = (intent.slots["assistant"],)
            rest = (*named, *self._settings.unresolved)
            return _away("directed", intent.slots["text"], asked, rest)
        return Route("local", text=text)

    def elsewhere(self, text: str) -> Route:
        """Where a command for an appliance goes that this panel does not have."""
        return _away("directed", text, (self._settings.home,), self._settings.unresolved)

    def _unresolved(self, text: str, confidence: float, named: tuple[str, ...]) -> Route:
        letters = len(text.replace(" ", ""))
        if letters < _SHORTEST or confidence < self._settings.min_confidence:
            return Route("rejected", text=text)
        kind: Kind = "directed" if named else "unresolved"
        return _away(kind, text, named, self._settings.unresolved)


def _away(kind: Kind, text: str, first: Sequence[str], then: Sequence[str]) -> Route:
    return Route("away", kind, tuple(dict.fromkeys((*first, *then))), text)
