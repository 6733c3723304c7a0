"""The properties of an appliance: what values they take, and how those look as text.

The text is that of the MQTT state topics. Each value has exactly one text and only that text is
understood, so ``format(parse(text)) == text``: "ON", "3.0", " 3", "+3", "03" and "３" are refused.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from soripan.exc import PropertyValueError

V = TypeVar("V", bool, int, str)


@dataclass(frozen=True)
class Property(ABC, Generic[V]):
    """Something about an appliance that can be known and mostly set.

    Raises:
        PropertyValueError: the default is not a value of the property.
    """

    kind: ClassVar[str]
    """``on_off``, ``number``, ``choice`` or ``contact``."""

    name: str
    default: V
    writable: bool = True
    """Whether it can be set; what cannot is reported by the driver."""
    volatile: bool = False
    """Whether it goes back to its default when the panel starts."""

    def __post_init__(self) -> None:
        self.check(self.default)

    @abstractmethod
    def parse(self, text: str) -> V:
        """The value that a text stands for.

        Raises:
            PropertyValueError: none; the error says what is allowed.
        """

    @abstractmethod
    def format(self, value: V) -> str:
        """The text of a value."""

    def check(self, value: V) -> V:
        """Return the value, if it is one of this property.

        Raises:
            PropertyValueError: it is not; the error says what is allowed.
        """
        return self.parse(self.format(value))

    def _refuse(
        self, code: str, problem: str, values: Mapping[str, str | int]
    ) -> PropertyValueError:
        return PropertyValueError(
            f"{self.name}: {problem}", code, {"property": self.name, **values}
        )


@dataclass(frozen=True)
class OnOff(Property[bool]):
    """``on`` or ``off``."""

    kind = "on_off"

    def parse(self, text: str) -> bool:
        """Parse ``on`` or ``off``."""
        if text not in ("on", "off"):
            raise self._refuse("not_allowed", f"“{text}” is not on or off", {"allowed": "on, off"})
        return text == "on"

    def format(self, value: bool) -> str:
        """Give ``on`` or ``off``."""
        return "on" if value else "off"


@dataclass(frozen=True)
class Contact(Property[str]):
    """``open`` or ``closed``, as the driver reports it."""

    kind = "contact"

    default: str = "closed"
    writable: bool = False
    volatile: bool = True

    def parse(self, text: str) -> str:
        """Parse ``open`` or ``closed``."""
        if text not in ("open", "closed"):
            raise self._refuse(
                "not_allowed", f"“{text}” is not open or closed", {"allowed": "open, closed"}
            )
        return text

    def format(self, value: str) -> str:
        """Give the value itself."""
        return value


@dataclass(frozen=True, kw_only=True)
class Number(Property[int]):
    """A whole number from ``low`` to ``high``."""

    kind = "number"

    low: int
    high: int
    unit: str = ""
    """As Home Assistant writes it: ``°C``, ``%``."""

    _text: ClassVar[re.Pattern[str]] = re.compile(r"0|-?[1-9][0-9]{0,8}")

    def parse(self, text: str) -> int:
        """Parse decimal digits, with a ``-`` if negative and no leading zeros."""
        if not self._text.fullmatch(text):
            raise self._refuse("not_allowed", f"“{text}” is not a whole number", self._limits())
        value = int(text)
        if not self.low <= value <= self.high:
            raise self._refuse(
                "out_of_range",
                f"{value} is not in {self.low}..{self.high}{self.unit}",
                {"value": value, **self._limits()},
            )
        return value

    def format(self, value: int) -> str:
        """Give the decimal digits."""
        return str(value)

    def _limits(self) -> dict[str, str | int]:
        return {"low": self.low, "high": self.high, "unit": self.unit}


@dataclass(frozen=True, kw_only=True)
class Choice(Property[str]):
    """One of a few words."""

    kind = "choice"

    choices: tuple[str, ...]

    def parse(self, text: str) -> str:
        """Parse one of the choices."""
        if text not in self.choices:
            allowed = ", ".join(self.choices)
            raise self._refuse(
                "not_allowed",
                f"“{text}” is not one of {allowed}",
                {"value": text, "allowed": allowed},
            )
        return text

    def format(self, value: str) -> str:
        """Give the value itself."""
        return value
