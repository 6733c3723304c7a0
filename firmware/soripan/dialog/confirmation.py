"""The confirming of an order by voice: yes, no, another quantity, the PIN."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from soripan.dialog.pin import Pin
from soripan.dialog.responses import Responses
from soripan.nlu.intents import ANSWERS, Intent

AGAIN: Final = 1
"""How often a question is asked again if the answer was not understood."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where an answer has led to."""

    done: Literal["ordered", "dropped", "another", "asked"]
    """``another``: it was no answer but another command, and the order is dropped."""
    speech: str = ""


class Confirmation:
    """One order that waits to be confirmed.

    Args:
        items: of the order, as in the slot ``items``.
        text: how it was said.
        responses: the sentences to ask with.
        pin: must be said after the yes; None: yes is enough.
        most: of one thing, at once.
    """

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        text: str,
        responses: Responses,
        pin: Pin | None,
        most: int,
    ) -> None:
        self.items: list[dict[str, Any]] = [dict(item) for item in items]
        self.text = text
        self._responses = responses
        self._pin = pin
        self._most = most
        self._asks_pin = False
        self._again = 0

    @property
    def secret(self) -> bool:
        """Whether the next answer must not be written down anywhere."""
        return self._asks_pin

    def question(self) -> str:
        """What the panel asks now."""
        if self._asks_pin:
            return self._responses.text("ask_pin")
        return self._responses.text("confirm_order", items=self._responses.items(self.items))

    def answer(self, intent: Intent | None, certain: bool = True) -> Step:
        """Take an answer. A yes that is not certain, which may be a noise, is asked for again."""
        match intent.name if intent is not None else None:
            case "No" | "Stop":
                return Step("dropped", self._responses.text("order_dropped"))
            case "Digits" if self._asks_pin and intent is not None:
                return self._check("".join(str(each["value"]) for each in intent.slots["digits"]))
            case "Yes" if certain and not self._asks_pin:
                if self._pin is None:
                    return Step("ordered")
                self._asks_pin, self._again = True, 0
                return Step("asked", self.question())
            case "ChangeQuantity" if intent is not None:
                return self._change(intent.slots)
            case None:
                pass
            case name if name not in ANSWERS:
                return Step("another", self._responses.text("order_dropped"))
        return self._ask_again()

    def _check(self, digits: str) -> Step:
        if self._pin is None or self._pin.matches(digits):
            return Step("ordered")
        if self._pin.locked:
            return Step("dropped", self._responses.text("pin_locked"))
        return Step("asked", self._responses.text("pin_wrong"))

    def _change(self, slots: Mapping[str, Any]) -> Step:
        """Change how many of something are ordered, and ask anew."""
        name = slots.get("item")
        meant = [item for item in self.items if name is None or item["name"] == name]
        if len(meant) != 1:
            return self._ask_again()
        if slots["quantity"] > self._most:
            said = self._responses.text("too_many", limit=self._most)
            return Step("asked", f"{said} {self.question()}")
        meant[0]["quantity"] = slots["quantity"]
        if slots.get("unit"):
            meant[0]["unit"] = slots["unit"]
        # What has been confirmed so far was another quantity.
        self._asks_pin, self._again = False, 0
        return Step("asked", self.question())

    def _ask_again(self) -> Step:
        self._again += 1
        if self._again > AGAIN:
            return Step("dropped", self._responses.text("order_dropped"))
        return Step("asked", self.question())


def mask(text: str) -> str:
    """A text that may hold a PIN, fit to be written down."""
    return re.sub(r"\S", "*", text)
