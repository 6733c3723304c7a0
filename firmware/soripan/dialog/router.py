"""Who does what was asked: the panel itself, or an assistant behind MQTT.

The panel comes first: whatever wake word was used, what it can do itself it does. The rest goes to
the assistant named in the sentence, else to the one the wake word addresses, else to the first in
the list of the config.
"""

from dataclasses import dataclass
from typing import Final, Literal

from soripan.config import RouterSettings
from soripan.nlu.intents import Intent

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
    assistant: str | None = None
    """Who gets it, if it goes away."""
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
        named = None if addressed == PANEL else addressed
        if intent is None:
            return self._unresolved(text, confidence, named)
        if intent.name in _SHOPPING:
            assistant = named or self._settings.shopping[0]
            return Route("away", "shopping", assistant, text)
        if intent.name == "AskAssistant":
            return Route("away", "directed", intent.slots["assistant"], intent.slots["text"])
        return Route("local", text=text)

    def elsewhere(self, text: str) -> Route:
        """Where a command for an appliance goes that this panel does not have."""
        return Route("away", "directed", self._settings.home, text)

    def _unresolved(self, text: str, confidence: float, named: str | None) -> Route:
        letters = len(text.replace(" ", ""))
        if letters < _SHORTEST or confidence < self._settings.min_confidence:
            return Route("rejected", text=text)
        if named is not None:
            return Route("away", "directed", named, text)
        return Route("away", "unresolved", self._settings.unresolved[0], text)
