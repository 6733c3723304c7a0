"""The fridge: what it does when asked, and what it refuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.appliances import REFUSALS, Appliance, Outcome, create
from soripan.appliances.simulated import SimulatedDriver
from soripan.config import FridgeSettings
from soripan.events import EventBus, StateChanged
from soripan.exc import PropertyValueError, UnknownPropertyError

SWITCHES = ["ice_maker", "power_cool", "power_freeze", "fridge_light", "vacation_mode"]


class Kitchen:
    """A fridge, its simulated hardware, and what it told."""

    def __init__(self, **settings: Any) -> None:
        self.bus = EventBus()
        self.driver = SimulatedDriver()
        self.told: list[tuple[str, str, str]] = []
        self.bus.subscribe(
            StateChanged, lambda e: self.told.append((e.appliance, e.property, e.value))
        )
        self.fridge: Appliance = create(
            FridgeSettings(**settings), self.bus, None, driver=self.driver
        )

    def ask(self, intent: str, **slots: Any) -> Outcome:
        outcome = self.fridge.handle(intent, slots)
        assert outcome is not None
        assert outcome.response in self.fridge.responses
        return outcome


def test_state_at_the_start() -> None:
    kitchen = Kitchen()
    assert kitchen.fridge.state == {
        "fridge_temperature": "3",
        "freezer_temperature": "-18",
        **dict.fromkeys(SWITCHES, "off"),
        "fridge_door": "closed",
        "freezer_door": "closed",
    }
    assert kitchen.told == []
    written = {n: v for n, v in kitchen.fridge.state.items() if not n.endswith("_door")}
    assert kitchen.driver.values == written


@pytest.mark.parametrize("target", SWITCHES)
def test_switches(target: str) -> None:
    kitchen = Kitchen()
    assert kitchen.ask("TurnOn", target=target) == Outcome(
        "turned_on", {"target": target}, {target: "on"}
    )
    assert kitchen.driver.values[target] == "on"
    assert kitchen.ask("TurnOn", target=target).changes == {}
    assert kitchen.ask("TurnOff", target=target) == Outcome(
        "turned_off", {"target": target}, {target: "off"}
    )
    assert kitchen.told == [("fridge", target, "on"), ("fridge", target, "off")]


def test_set_temperature() -> None:
    kitchen = Kitchen()
    outcome = kitchen.ask("SetTemperature", zone="freezer", value=-20)
    assert outcome == Outcome(
        "temperature_set", {"zone": "freezer", "value": -20}, {"freezer_temperature": "-20"}
    )
    assert kitchen.driver.values["freezer_temperature"] == "-20"
    assert kitchen.told == [("fridge", "freezer_temperature", "-20")]


def test_without_a_zone_the_fridge_compartment_is_meant() -> None:
    kitchen = Kitchen()
    assert kitchen.ask("SetTemperature", value=5).values == {"zone": "fridge", "value": 5}
    assert kitchen.ask("GetTemperature").values == {"zone": "fridge", "value": 5}
    assert kitchen.ask("GetDoor").values == {"zone": "fridge"}


@pytest.mark.parametrize(
    ("zone", "value"), [("fridge", 0), ("fridge", 8), ("freezer", -24), ("freezer", -14)]
)
def test_a_temperature_outside_changes_nothing(zone: str, value: int) -> None:
    kitchen = Kitchen()
    before = kitchen.fridge.state, dict(kitchen.driver.values)
    with pytest.raises(PropertyValueError) as caught:
        kitchen.fridge.handle("SetTemperature", {"zone": zone, "value": value})
    assert caught.value.code == "out_of_range"
    assert caught.value.code in REFUSALS
    low, high = (1, 7) if zone == "fridge" else (-23, -15)
    assert (caught.value.values["low"], caught.value.values["high"]) == (low, high)
    assert (kitchen.fridge.state, kitchen.driver.values) == before
    assert kitchen.told == []


@pytest.mark.parametrize(("direction", "steps", "limit"), [("up", 4, 7), ("down", 2, 1)])
def test_change_temperature_goes_by_one_degree_up_to_the_limit(
    direction: str, steps: int, limit: int
) -> None:
    kitchen = Kitchen()
    for _ in range(steps):
        outcome = kitchen.ask("ChangeTemperature", zone="fridge", direction=direction)
    assert outcome.values["value"] == limit
    with pytest.raises(PropertyValueError) as caught:
        kitchen.fridge.handle("ChangeTemperature", {"zone": "fridge", "direction": direction})
    assert caught.value.code == "out_of_range"
    assert kitchen.fridge.get("fridge_temperature") == str(limit)


def test_get_temperature_is_that_of_its_zone() -> None:
    kitchen = Kitchen()
    assert kitchen.ask("GetTemperature", zone="freezer") == Outcome(
        "temperature_is", {"zone": "freezer", "value": -18}
    )


def test_doors_come_from_the_driver() -> None:
    kitchen = Kitchen()
    assert kitchen.ask("GetDoor", zone="freezer") == Outcome("door_closed", {"zone": "freezer"})
    kitchen.driver.press("freezer_door", "open")
    assert kitchen.ask("GetDoor", zone="freezer").response == "door_closed"  # nobody polled yet
    assert kitchen.fridge.poll() == {"freezer_door": "open"}
    assert kitchen.fridge.poll() == {}
    assert kitchen.ask("GetDoor", zone="freezer").response == "door_open"
    assert kitchen.ask("GetDoor", zone="fridge").response == "door_closed"
    assert kitchen.told == [("fridge", "freezer_door", "open")]


@pytest.mark.parametrize("door", ["fridge_door", "freezer_door"])
def test_a_door_cannot_be_set(door: str) -> None:
    kitchen = Kitchen()
    with pytest.raises(PropertyValueError) as caught:
        kitchen.fridge.set(door, "open")
    assert (caught.value.code, caught.value.values) == ("read_only", {"property": door})
    assert kitchen.fridge.get(door) == "closed"


def test_unknown_properties_are_refused() -> None:
    kitchen = Kitchen()
    with pytest.raises(UnknownPropertyError, match="no “volume”"):
        kitchen.fridge.set("volume", "3")
    with pytest.raises(UnknownPropertyError):
        kitchen.fridge.get("volume")


@pytest.mark.parametrize(
    ("intent", "slots"),
    [("TurnOn", {"target": "tv"}), ("SetVolume", {"value": 3}), ("GetTime", {})],
)
def test_what_is_for_others_is_left_to_them(intent: str, slots: dict[str, Any]) -> None:
    assert Kitchen().fridge.handle(intent, slots) is None


def test_limits_are_those_of_the_settings() -> None:
    kitchen = Kitchen(fridge_min=4, fridge_max=5, freezer_min=-30, freezer_max=-25)
    assert kitchen.fridge.get("fridge_temperature") == "4"  # the usual 3 is outside
    assert kitchen.fridge.get("freezer_temperature") == "-25"
    assert kitchen.fridge.set("freezer_temperature", "-30") == {"freezer_temperature": "-30"}
    with pytest.raises(PropertyValueError):
        kitchen.fridge.set("fridge_temperature", "3")


@given(
    name=st.sampled_from(["fridge_temperature", "freezer_temperature", *SWITCHES]),
    text=st.one_of(st.text(max_size=6), st.integers(-50, 50).map(str), st.sampled_from("on off")),
)
def test_no_text_gets_an_impossible_value_in(name: str, text: str) -> None:
    kitchen = Kitchen()
    try:
        kitchen.fridge.set(name, text)
    except PropertyValueError:
        assert kitchen.told == []
    state = kitchen.fridge.state
    assert state == kitchen.driver.values | {"fridge_door": "closed", "freezer_door": "closed"}
    assert 1 <= int(state["fridge_temperature"]) <= 7
    assert -23 <= int(state["freezer_temperature"]) <= -15
    assert {state[switch] for switch in SWITCHES} <= {"on", "off"}
