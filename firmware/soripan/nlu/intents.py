"""The intents: names and slots are a contract between templates, panel and bridges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody wants, as the templates understood it."""

    name: str
    slots: Mapping[str, Any] = field(default_factory=dict)
    """Slot values: ``str``, ``int``, and for ``items`` a list of
    ``{"name": str, "quantity": int, "unit"?: str}``."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What a slot may hold."""

    kind: type = str
    choices: frozenset[str] = frozenset()
    """The only values it may have; empty: any."""
    required: bool = True
    default: Any = None
    """What it holds when the sentence does not say."""
    fields: Mapping[str, "Slot"] = field(default_factory=dict)
    """For ``kind=list``: the slots of each object in it."""

    def accepts(self, value: object) -> bool:
        """Whether a value a template gives may stand in this slot."""
        if not isinstance(value, self.kind) or isinstance(value, bool):
            return False
        return not self.choices or value in self.choices


def _choice(*choices: str, default: str | None = None) -> Slot:
    return Slot(choices=frozenset(choices), required=default is None, default=default)


_ZONE = _choice("fridge", "freezer", default="fridge")
_DIRECTION = _choice("up", "down")
_NUMBER = Slot(kind=int)
_NAME = Slot(required=False)
_ITEMS = Slot(
    kind=list,
    fields={
        "name": Slot(),
        "quantity": Slot(kind=int, required=False, default=1),
        "unit": Slot(required=False),
    },
)

ANSWERS: Final = frozenset({"Yes", "No", "ChangeQuantity", "Digits"})
"""Intents that mean something only where something was asked."""

INTENTS: Final[Mapping[str, Mapping[str, Slot]]] = MappingProxyType(
    {
        "TurnOn": {"target": Slot()},
        "TurnOff": {"target": Slot()},
        "SetTemperature": {"zone": _ZONE, "value": _NUMBER},
        "ChangeTemperature": {"zone": _ZONE, "direction": _DIRECTION},
        "GetTemperature": {"zone": _ZONE},
        "GetDoor": {"zone": _ZONE},
        "SetVolume": {"value": _NUMBER},
        "ChangeVolume": {"direction": _DIRECTION},
        "Mute": {"state": _choice("on", "off")},
        "SetChannel": {"number": _NUMBER},
        "ChangeChannel": {"direction": _DIRECTION},
        "SetInput": {"input": _choice("hdmi1", "hdmi2", "hdmi3", "hdmi4", "tv")},
        "LaunchApp": {"app": Slot()},
        "StartTimer": {"seconds": _NUMBER, "name": _NAME},
        "CancelTimer": {"name": _NAME},
        "TimerStatus": {"name": _NAME},
        "GetTime": {},
        "GetDate": {},
        "Help": {},
        "Repeat": {},
        "Stop": {},
        "Yes": {},
        "No": {},
        "ChangeQuantity": {"item": _NAME, "quantity": _NUMBER, "unit": _NAME},
        "Digits": {"digits": Slot(kind=list, fields={"value": _NUMBER})},
        "ShoppingAdd": {"items": _ITEMS},
        "ShoppingOrder": {"items": _ITEMS},
        "ShoppingList": {},
        "AskAssistant": {"assistant": Slot(), "text": Slot()},
    }
)
"""Every intent with its slots."""
