"""An appliance: its properties, their state, and what it does when asked.

Everything here belongs to the pipeline's thread; :attr:`Appliance.state` alone may be read from
any. What comes from elsewhere, such as an MQTT ``set``, is handed to that thread first.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeVar, cast

from soripan.appliances.driver import Driver
from soripan.appliances.property import Property, V
from soripan.events import EventBus, StateChanged
from soripan.exc import ApplianceError, PropertyValueError, UnknownPropertyError
from soripan.store import Store

log = logging.getLogger(__name__)

Change = tuple[Property[Any], Any]
"""A property and the value it gets."""


REFUSALS: Final = frozenset({"out_of_range", "not_allowed", "read_only"})
"""The codes of the :class:`PropertyValueError` of every appliance.

Its ``values`` hold ``property``; with ``out_of_range`` also ``value``, ``low``, ``high`` and
``unit``; with ``not_allowed`` the same limits, or the choices as one text, ``allowed``.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an appliance did, and what there is to say about it."""

    response: str
    """The key of the sentence to answer with; one of the appliance's ``responses``."""
    values: Mapping[str, str | int] = field(default_factory=dict)
    """What the sentence can say."""
    changes: Mapping[str, str] = field(default_factory=dict)
    """The properties that are now different, with their new values as on the state topics."""


class Appliance(ABC):
    """One appliance.

    At the start it is as it was when the panel stopped, as far as that makes sense: values from the
    store, except those of volatile properties and those that are out of range by now, go to the
    driver again. Then the driver is asked for its inputs.

    Args:
        id: its ``<appliance>`` in the topics.
        properties: what there is to know about it, in the order in which it is shown.
        driver: its hardware. The appliance closes it.
        bus: is told of changes; not of the state at the start.
        store: keeps the state through a power failure; None: it is forgotten.

    Raises:
        DriverError: the hardware did not answer.
    """

    kind: ClassVar[str]
    """As in its file: ``fridge``, ``tv``."""
    responses: ClassVar[frozenset[str]]
    """Every :attr:`Outcome.response` it gives, and every code it refuses with beyond those of
    :data:`REFUSALS`. A language needs a sentence for each."""

    def __init__(
        self,
        id: str,  # noqa: A002  the word of the topics
        properties: tuple[Property[Any], ...],
        driver: Driver,
        bus: EventBus,
        store: Store | None = None,
    ) -> None:
        self.id = id
        self.properties: Mapping[str, Property[Any]] = MappingProxyType(
            {prop.name: prop for prop in properties}
        )
        self._driver = driver
        self._bus = bus
        self._store = store
        self._values: dict[str, Any] = {prop.name: prop.default for prop in properties}
        self._restore()
        for prop in properties:
            if prop.writable:
                self._driver.write(prop.name, prop.format(self._values[prop.name]))
        self._values.update(self._inputs())

    @property
    def state(self) -> dict[str, str]:
        """All properties with their values as on the state topics."""
        return {name: prop.format(self._values[name]) for name, prop in self.properties.items()}

    def get(self, name: str) -> str:
        """The value of a property, as on its state topic.

        Raises:
            UnknownPropertyError: there is no such property.
        """
        prop = self._property(name)
        return prop.format(self._values[name])

    def set(self, name: str, text: str) -> Mapping[str, str]:
        """Give a property the value that a text stands for.

        What the appliance does of itself along with it (a TV that is told a channel goes on) it
        does here too.

        Returns:
            The properties that are now different, with their new values.

        Raises:
            UnknownPropertyError: there is no such property.
            PropertyValueError: it has no such value, is read-only or cannot be set now.
            DriverError: the hardware did not take it.
        """
        prop = self._property(name)
        if not prop.writable:
            raise PropertyValueError(
                f"{name}: is only reported, it cannot be set", "read_only", {"property": name}
            )
        return self._change(prop, prop.parse(text))

    @abstractmethod
    def handle(self, intent: str, slots: Mapping[str, Any]) -> Outcome | None:
        """Do what somebody said.

        Args:
            intent: its name.
            slots: as the intent contract has them.

        Returns:
            What was done, or None if this is not for this appliance.

        Raises:
            PropertyValueError: it cannot be.
            DriverError: the hardware did not take it.
        """

    def poll(self) -> Mapping[str, str]:
        """Take over what changed at the appliance itself: a door was opened. Never waits.

        Returns:
            The properties that are now different, with their new values.

        Raises:
            DriverError: the hardware did not answer.
        """
        return self._record(self._inputs())

    def close(self) -> None:
        """Let the hardware go."""
        self._driver.close()

    def _plan(self, prop: Property[Any], value: Any) -> list[Change]:
        """What is to change, in this order, for a property to get a value.

        Raises:
            PropertyValueError: it cannot be set now.
        """
        return [(prop, value)]

    def _value(self, prop: Property[V]) -> V:
        return cast("V", self._values[prop.name])

    def _change(self, prop: Property[V], value: V) -> Mapping[str, str]:
        """Set a property, with all that goes with it.

        The property itself is written even if it has that value already: the hardware may have
        been changed behind our back, and whoever repeats a command has seen that it was.
        """
        changes: dict[str, str] = {}
        for each, new in self._plan(prop, prop.check(value)):
            if each is not prop and new == self._value(each):
                continue
            self._driver.write(each.name, each.format(new))
            changes |= self._record({each.name: new})
        return changes

    def _record(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Remember, keep and publish those values that are new."""
        changes = {
            name: self.properties[name].format(value)
            for name, value in values.items()
            if value != self._values[name]
        }
        self._values.update(values)
        if any(not self.properties[name].volatile for name in changes):
            self._save()
        for name, text in changes.items():
            self._bus.publish(StateChanged(appliance=self.id, property=name, value=text))
        return changes

    def _inputs(self) -> dict[str, Any]:
        """What the driver reports, as values."""
        inputs: dict[str, Any] = {}
        for name, text in self._driver.poll():
            try:
                inputs[name] = self._property(name).parse(text)
            except ApplianceError as error:
                log.warning("%s: its driver reports nonsense: %s", self.id, error)
        return inputs

    def _property(self, name: str) -> Property[Any]:
        if name not in self.properties:
            known = ", ".join(self.properties)
            raise UnknownPropertyError(f"{self.id} has no “{name}”; it has {known}")
        return self.properties[name]

    def _restore(self) -> None:
        kept = self._store.load(self._store_name, dict[str, str]) if self._store else None
        for name, text in (kept or {}).items():
            prop = self.properties.get(name)
            if prop is None or prop.volatile:
                continue
            try:
                self._values[name] = prop.parse(text)
            except PropertyValueError as error:
                log.warning("%s: the kept value is not used: %s", self.id, error)

    def _save(self) -> None:
        if self._store is not None:
            lasting = {
                name: text
                for name, text in self.state.items()
                if not self.properties[name].volatile
            }
            self._store.save(self._store_name, lasting)

    @property
    def _store_name(self) -> str:
        return f"appliance-{self.id}"


K = TypeVar("K", bound=type[Appliance])

KINDS: Final[dict[type, Callable[[Any, Driver, EventBus, Store | None], Appliance]]] = {}
"""By the class of its settings, what makes an appliance of that kind."""


def register(settings: type) -> Callable[[K], K]:
    """Class decorator: appliances of this class have settings of that class."""

    def decorate(kind: K) -> K:
        KINDS[settings] = kind
        return kind

    return decorate
