"""The TV: what it does when asked, of itself, and what it refuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.appliances import Appliance, Outcome, create
from soripan.appliances.simulated import SimulatedDriver
from soripan.config import TvSettings
from soripan.events import EventBus, StateChanged
from soripan.exc import PropertyValueError


class Recorder(SimulatedDriver):
    """A simulated TV that knows the order in which it was told things."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, str]] = []

    def write(self, name: str, value: str) -> None:
        super().write(name, value)
        self.written.append((name, value))


class Room:
    """A TV, its simulated hardware, and what it told."""

    def __init__(self, *, on: bool = True, **settings: Any) -> None:
        self.bus = EventBus()
        self.driver = Recorder()
        self.tv: Appliance = create(TvSettings(**settings), self.bus, None, driver=self.driver)
        if on:
            self.tv.set("power", "on")
        self.driver.written.clear()
        self.told: list[tuple[str, str]] = []
        self.bus.subscribe(StateChanged, lambda e: self.told.append((e.property, e.value)))

    def ask(self, intent: str, **slots: Any) -> Outcome:
        outcome = self.tv.handle(intent, slots)
        assert outcome is not None
        assert outcome.response in self.tv.responses
        return outcome


def test_state_at_the_start() -> None:
    assert Room(on=False).tv.state == {
        "power": "off",
        "volume": "20",
        "mute": "off",
        "channel": "1",
        "input": "tv",
        "app": "none",
    }


def test_on_and_off() -> None:
    room = Room(on=False)
    assert room.ask("TurnOn", target="tv") == Outcome(
        "turned_on", {"target": "tv"}, {"power": "on"}
    )
    assert room.ask("TurnOff", target="tv") == Outcome(
        "turned_off", {"target": "tv"}, {"power": "off"}
    )
    assert room.told == [("power", "on"), ("power", "off")]


def test_a_repeated_command_reaches_the_hardware_but_is_no_change() -> None:
    room = Room()
    assert room.ask("TurnOn", target="tv").changes == {}
    assert room.driver.written == [("power", "on")]
    assert room.told == []


def test_off_forgets_mute_and_app() -> None:
    room = Room()
    room.ask("LaunchApp", app="netflix")
    room.ask("Mute", state="on")
    outcome = room.ask("TurnOff", target="tv")
    assert outcome.changes == {"power": "off", "mute": "off", "app": "none"}


@pytest.mark.parametrize("value", [0, 1, 99, 100])
def test_set_volume(value: int) -> None:
    room = Room()
    assert room.ask("SetVolume", value=value) == Outcome(
        "volume_set", {"value": value}, {"volume": str(value)}
    )
    assert room.driver.values["volume"] == str(value)


@pytest.mark.parametrize("value", [-1, 101, 1000])
def test_a_volume_outside_is_refused(value: int) -> None:
    room = Room()
    with pytest.raises(PropertyValueError) as caught:
        room.tv.handle("SetVolume", {"value": value})
    assert caught.value.code == "out_of_range"
    assert room.tv.get("volume") == "20"


def test_the_loudest_is_that_of_the_settings() -> None:
    room = Room(volume_max=30, volume_step=7)
    with pytest.raises(PropertyValueError) as caught:
        room.tv.handle("SetVolume", {"value": 31})
    assert caught.value.values["high"] == 30
    louder = [room.ask("ChangeVolume", direction="up") for _ in range(3)]
    assert [each.values["value"] for each in louder] == [27, 30, 30]
    assert [each.response for each in louder] == ["volume_set", "volume_highest", "volume_highest"]
    assert louder[2].changes == {}


def test_quieter_stops_at_nothing() -> None:
    room = Room()
    room.ask("SetVolume", value=7)
    quieter = [room.ask("ChangeVolume", direction="down") for _ in range(3)]
    assert [each.values["value"] for each in quieter] == [2, 0, 0]
    assert [each.response for each in quieter] == ["volume_set", "volume_lowest", "volume_lowest"]


def test_mute() -> None:
    room = Room()
    assert room.ask("Mute", state="on") == Outcome("muted", {}, {"mute": "on"})
    assert room.ask("Mute", state="off") == Outcome("unmuted", {}, {"mute": "off"})


@pytest.mark.parametrize(
    ("intent", "slots", "muted"),
    [
        ("ChangeVolume", {"direction": "up"}, "off"),
        ("ChangeVolume", {"direction": "down"}, "on"),
        ("SetVolume", {"value": 10}, "off"),
        ("SetVolume", {"value": 0}, "on"),
    ],
)
def test_who_wants_to_hear_more_ends_mute(intent: str, slots: dict[str, Any], muted: str) -> None:
    room = Room()
    room.ask("Mute", state="on")
    room.ask(intent, **slots)
    assert room.tv.get("mute") == muted


def test_a_volume_over_mqtt_leaves_mute_alone() -> None:
    room = Room()
    room.tv.set("mute", "on")
    assert room.tv.set("volume", "30") == {"volume": "30"}
    assert room.tv.get("mute") == "on"


@pytest.mark.parametrize("number", [1, 7, 999])
def test_set_channel(number: int) -> None:
    room = Room()
    room.tv.set("channel", "11")
    assert room.ask("SetChannel", number=number) == Outcome(
        "channel_set", {"number": number}, {"channel": str(number)}
    )


@pytest.mark.parametrize("number", [0, 1000, -1])
def test_a_channel_outside_is_refused_and_leaves_the_tv_off(number: int) -> None:
    room = Room(on=False)
    with pytest.raises(PropertyValueError) as caught:
        room.tv.handle("SetChannel", {"number": number})
    assert (caught.value.values["low"], caught.value.values["high"]) == (1, 999)
    assert room.tv.get("power") == "off"


@pytest.mark.parametrize(
    ("before", "direction", "after"),
    [(7, "up", 8), (7, "down", 6), (999, "up", 1), (1, "down", 999)],
)
def test_channels_go_round(before: int, direction: str, after: int) -> None:
    room = Room()
    room.tv.set("channel", str(before))
    assert room.ask("ChangeChannel", direction=direction).values == {"number": after}
    assert room.tv.get("channel") == str(after)


@pytest.mark.parametrize("name", ["hdmi1", "hdmi2", "hdmi3", "hdmi4"])
def test_set_input_ends_the_app(name: str) -> None:
    room = Room()
    room.tv.set("app", "youtube")
    assert room.ask("SetInput", input=name) == Outcome(
        "input_set", {"input": name}, {"app": "none", "input": name}
    )


def test_a_channel_shows_on_the_input_tv() -> None:
    room = Room()
    room.tv.set("input", "hdmi2")
    room.tv.set("app", "youtube")
    assert room.ask("SetChannel", number=9).changes == {
        "app": "none",
        "input": "tv",
        "channel": "9",
    }


def test_an_app_leaves_the_input() -> None:
    room = Room()
    room.tv.set("input", "hdmi2")
    assert room.ask("LaunchApp", app="netflix") == Outcome(
        "app_launched", {"app": "netflix"}, {"app": "netflix"}
    )
    assert room.tv.get("input") == "hdmi2"


def test_an_app_the_tv_does_not_have_is_refused() -> None:
    room = Room(on=False, apps=["netflix"])
    with pytest.raises(PropertyValueError) as caught:
        room.tv.handle("LaunchApp", {"app": "youtube"})
    assert caught.value.code == "not_allowed"
    assert caught.value.values == {
        "property": "app",
        "value": "youtube",
        "allowed": "none, netflix",
    }
    assert room.tv.get("power") == "off"


@pytest.mark.parametrize(
    ("intent", "slots"),
    [
        ("SetChannel", {"number": 9}),
        ("ChangeChannel", {"direction": "up"}),
        ("SetInput", {"input": "hdmi1"}),
        ("LaunchApp", {"app": "netflix"}),
    ],
)
def test_what_wants_to_be_seen_switches_it_on_first(intent: str, slots: dict[str, Any]) -> None:
    room = Room(on=False)
    outcome = room.ask(intent, **slots)
    assert outcome.changes["power"] == "on"
    assert room.driver.written[0] == room.told[0] == ("power", "on")


@pytest.mark.parametrize(("name", "value"), [("channel", "9"), ("input", "tv"), ("app", "tving")])
def test_over_mqtt_too(name: str, value: str) -> None:
    room = Room(on=False)
    assert room.tv.set(name, value)["power"] == "on"


@pytest.mark.parametrize(
    ("intent", "slots"),
    [
        ("SetVolume", {"value": 9}),
        ("ChangeVolume", {"direction": "up"}),
        ("Mute", {"state": "on"}),
        ("Mute", {"state": "off"}),
    ],
)
def test_what_wants_to_be_heard_is_refused_while_off(intent: str, slots: dict[str, Any]) -> None:
    room = Room(on=False)
    with pytest.raises(PropertyValueError) as caught:
        room.tv.handle(intent, slots)
    assert caught.value.code == "tv_off"
    assert caught.value.code in room.tv.responses
    assert room.driver.written == []


def test_no_app_does_not_switch_on() -> None:
    room = Room(on=False)
    assert room.tv.set("app", "none") == {}
    assert room.tv.get("power") == "off"


@pytest.mark.parametrize(
    ("intent", "slots"),
    [("TurnOn", {"target": "ice_maker"}), ("GetDoor", {"zone": "fridge"}), ("Stop", {})],
)
def test_what_is_for_others_is_left_to_them(intent: str, slots: dict[str, Any]) -> None:
    assert Room().tv.handle(intent, slots) is None


PROPERTIES = ["power", "volume", "mute", "channel", "input", "app"]
TEXTS = st.one_of(
    st.text(max_size=6),
    st.integers(-2, 1100).map(str),
    st.sampled_from(["on", "off", "tv", "hdmi1", "hdmi5", "none", "netflix", "nothing"]),
)


@given(st.lists(st.tuples(st.sampled_from(PROPERTIES), TEXTS), max_size=12))
def test_no_texts_get_it_into_an_impossible_state(commands: list[tuple[str, str]]) -> None:
    room = Room(on=False, volume_max=50)
    for name, text in commands:
        told = len(room.told)
        try:
            room.tv.set(name, text)
        except PropertyValueError:
            assert len(room.told) == told
        state = room.tv.state
        assert state == room.driver.values
        assert 0 <= int(state["volume"]) <= 50
        assert 1 <= int(state["channel"]) <= 999
        assert state["input"] in {"tv", "hdmi1", "hdmi2", "hdmi3", "hdmi4"}
        assert state["app"] in {"none", *TvSettings().apps}
        if state["power"] == "off":
            assert (state["mute"], state["app"]) == ("off", "none")
