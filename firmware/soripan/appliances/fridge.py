"""A fridge with a freezer."""

from collections.abc import Mapping
from typing import Any

from soripan.appliances.appliance import Appliance, Outcome, register
from soripan.appliances.driver import Driver
from soripan.appliances.property import Contact, Number, OnOff, Property
from soripan.config import FridgeSettings
from soripan.events import EventBus
from soripan.store import Store


@register(FridgeSettings)
class Fridge(Appliance):
    """Two temperatures, two doors and five switches, which do not depend on each other."""

    kind = "fridge"
    responses = frozenset(
        {
            "turned_on",
            "turned_off",
            "temperature_set",
            "temperature_is",
            "door_open",
            "door_closed",
        }
    )

    def __init__(
        self, settings: FridgeSettings, driver: Driver, bus: EventBus, store: Store | None = None
    ) -> None:
        self._temperatures = {
            "fridge": _temperature("fridge", 3, settings.fridge_min, settings.fridge_max),
            "freezer": _temperature("freezer", -18, settings.freezer_min, settings.freezer_max),
        }
        self._switches = {
            "ice_maker": OnOff("ice_maker", default=False),
            "power_cool": OnOff("power_cool", default=False),
            "power_freeze": OnOff("power_freeze", default=False),
            "fridge_light": OnOff("fridge_light", default=False),
            "vacation_mode": OnOff("vacation_mode", default=False),
        }
        self._doors = {zone: Contact(f"{zone}_door") for zone in self._temperatures}
        properties: tuple[Property[Any], ...] = (
            *self._temperatures.values(),
            *self._switches.values(),
            *self._doors.values(),
        )
        super().__init__(settings.id, properties, driver, bus, store)

    def handle(self, intent: str, slots: Mapping[str, Any]) -> Outcome | None:
        """Do what somebody said; see :meth:`Appliance.handle`."""
        zone = slots.get("zone", "fridge")
        match intent:
            case "TurnOn" | "TurnOff":
                return self._switch(slots["target"], intent == "TurnOn")
            case "SetTemperature":
                return self._set_temperature(zone, slots["value"])
            case "ChangeTemperature":
                step = 1 if slots["direction"] == "up" else -1
                value = self._value(self._temperatures[zone]) + step
                return self._set_temperature(zone, value)
            case "GetTemperature":
                value = self._value(self._temperatures[zone])
                return Outcome("temperature_is", {"zone": zone, "value": value})
            case "GetDoor":
                return Outcome(f"door_{self._value(self._doors[zone])}", {"zone": zone})
        return None

    def _switch(self, target: str, on: bool) -> Outcome | None:
        if target not in self._switches:
            return None
        changes = self._change(self._switches[target], on)
        return Outcome("turned_on" if on else "turned_off", {"target": target}, changes)

    def _set_temperature(self, zone: str, value: int) -> Outcome:
        changes = self._change(self._temperatures[zone], value)
        return Outcome("temperature_set", {"zone": zone, "value": value}, changes)


def _temperature(zone: str, usual: int, low: int, high: int) -> Number:
    default = min(max(usual, low), high)
    return Number(f"{zone}_temperature", default, low=low, high=high, unit="°C")
