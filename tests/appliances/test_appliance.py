"""What all appliances have in common: state through restarts, faults, new kinds, config files."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from soripan import appliances, config
from soripan.appliances import Appliance, Driver, create
from soripan.appliances.simulated import SimulatedDriver
from soripan.config import ApplianceSettings, FridgeSettings, TvSettings
from soripan.events import EventBus, StateChanged
from soripan.exc import ConfigError, DriverError
from soripan.store import Store

CONFIG = Path(__file__).parents[2] / "config"


class Breaking(SimulatedDriver):
    """Hardware that does not take one property any more."""

    broken = ""

    def write(self, name: str, value: str) -> None:
        if name == self.broken:
            raise DriverError(f"{name}: no answer")
        super().write(name, value)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    yield store
    store.close()


def restart(store: Store, settings: ApplianceSettings, driver: Driver) -> Appliance:
    assert store.flush()
    return create(settings, EventBus(), store, driver)


def test_each_kind_registers_itself() -> None:
    assert set(appliances.KINDS) == {FridgeSettings, TvSettings}
    fridge, tv = create(FridgeSettings(id="a"), EventBus()), create(TvSettings(id="b"), EventBus())
    assert [(each.kind, each.id) for each in (fridge, tv)] == [("fridge", "a"), ("tv", "b")]


def test_state_survives_a_restart_and_reaches_the_hardware(store: Store) -> None:
    fridge = create(FridgeSettings(), EventBus(), store)
    fridge.set("fridge_temperature", "6")
    fridge.set("ice_maker", "on")
    driver = SimulatedDriver()
    again = restart(store, FridgeSettings(), driver)
    assert again.state == fridge.state
    assert (driver.values["fridge_temperature"], driver.values["ice_maker"]) == ("6", "on")


def test_two_appliances_do_not_share_a_state(store: Store) -> None:
    create(FridgeSettings(id="upstairs"), EventBus(), store).set("ice_maker", "on")
    other = restart(store, FridgeSettings(id="downstairs"), SimulatedDriver())
    assert other.get("ice_maker") == "off"


def test_mute_and_app_do_not_survive(store: Store) -> None:
    tv = create(TvSettings(), EventBus(), store)
    tv.set("channel", "11")
    tv.set("app", "netflix")
    tv.set("mute", "on")
    assert restart(store, TvSettings(), SimulatedDriver()).state == {
        **tv.state,
        "mute": "off",
        "app": "none",
    }


def test_a_door_is_as_it_is_now_not_as_it_was(store: Store) -> None:
    driver = SimulatedDriver()
    fridge = create(FridgeSettings(), EventBus(), store, driver)
    driver.press("fridge_door", "open")
    fridge.poll()
    fridge.set("ice_maker", "on")
    assert restart(store, FridgeSettings(), SimulatedDriver()).get("fridge_door") == "closed"
    opened = SimulatedDriver()
    opened.press("fridge_door", "open")
    assert restart(store, FridgeSettings(), opened).get("fridge_door") == "open"


def test_kept_values_that_cannot_be_any_more_give_way(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(
        "appliance-fridge",
        {
            "fridge_temperature": "7",
            "freezer_temperature": "cold",
            "ice_maker": "on",
            "fridge_door": "open",
            "radio": "on",
        },
    )
    fridge = create(FridgeSettings(fridge_max=5), EventBus(), store)
    assert fridge.get("fridge_temperature") == "3"
    assert fridge.get("freezer_temperature") == "-18"
    assert fridge.get("ice_maker") == "on"
    assert fridge.get("fridge_door") == "closed"
    assert "7 is not in 1..5" in caplog.text
    assert "cold" in caplog.text


@pytest.mark.parametrize("content", [b"\xff\x00", b'["a"]', b'{"ice_maker": 1}', b""])
def test_a_corrupt_state_means_defaults(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "appliance-fridge.json").write_bytes(content)
    store = Store(tmp_path)
    assert create(FridgeSettings(), EventBus(), store).get("ice_maker") == "off"
    store.close()
    assert (tmp_path / "appliance-fridge.corrupt").read_bytes() == content


def test_what_the_hardware_did_not_take_is_not_so() -> None:
    driver = Breaking()
    told: list[str] = []
    bus = EventBus()
    bus.subscribe(StateChanged, lambda event: told.append(event.property))
    tv = create(TvSettings(), bus, None, driver)
    driver.broken = "app"
    with pytest.raises(DriverError):
        tv.handle("LaunchApp", {"app": "netflix"})
    assert tv.get("app") == "none"
    assert tv.get("power") == driver.values["power"] == "on"  # that far it came
    assert told == ["power"]


def test_a_driver_may_report_what_can_also_be_set(store: Store) -> None:
    driver = SimulatedDriver()
    tv = create(TvSettings(), EventBus(), store, driver)
    driver.press("power", "on")
    assert tv.poll() == {"power": "on"}
    assert restart(store, TvSettings(), SimulatedDriver()).get("power") == "on"


def test_nonsense_from_a_driver_is_logged_and_left(caplog: pytest.LogCaptureFixture) -> None:
    driver = SimulatedDriver()
    fridge = create(FridgeSettings(), EventBus(), None, driver)
    driver.press("fridge_door", "ajar")
    driver.press("hatch", "open")
    driver.press("freezer_door", "open")
    assert fridge.poll() == {"freezer_door": "open"}
    assert "ajar" in caplog.text
    assert "hatch" in caplog.text


def test_of_what_was_pressed_only_the_newest_waits() -> None:
    driver = SimulatedDriver()
    for _ in range(10_000):
        driver.press("fridge_door", "open")
        driver.press("fridge_door", "closed")
    assert driver.poll() == [("fridge_door", "closed")]


def uncommented(file: Path) -> dict[str, Any]:
    """The file with its commented-out example in force."""
    text = file.read_text(encoding="utf-8")
    return tomllib.loads(re.sub(r"^# (\[gpio.*\]|\w+ = (?!\"gpio\").*)$", r"\1", text, flags=re.M))


@pytest.mark.parametrize("settings", [FridgeSettings(), TvSettings()])
def test_the_files_hold_every_key_with_its_default(settings: ApplianceSettings) -> None:
    kind = type(settings)
    file = CONFIG / f"{settings.id}.toml"
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    assert msgspec.convert(raw, kind) == settings
    assert set(raw) == {"kind", *kind.__struct_fields__} - {"gpio"}


@pytest.mark.parametrize("kind", [FridgeSettings, TvSettings])
def test_the_pins_in_the_files_can_be_had(kind: type[ApplianceSettings]) -> None:
    raw = uncommented(CONFIG / f"{kind().id}.toml")
    pins = msgspec.convert(raw, kind).gpio.items()
    assert len(pins) >= 2
    types = {type(pin) for _, pin in pins}
    for pin_type in types:
        name = next(name for name, pin in pins if type(pin) is pin_type)
        assert set(raw["gpio"][name]) == {"type", *pin_type.__struct_fields__}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('kind = "fridge"\n[gpio.fridge_door]\ntype = "relay"\npin = 5', "gpio.fridge_door.type"),
        ('kind = "fridge"\n[gpio.ice_maker]\ntype = "switch"\npin = 5', "gpio.ice_maker.type"),
        ('kind = "fridge"\n[gpio.volume]\ntype = "relay"\npin = 5', "gpio.volume"),
        ('kind = "tv"\n[gpio.power]\ntype = "relay"\npin = 28', "gpio.power.pin"),
        ('kind = "tv"\napps = ["none"]', "apps"),
        ('kind = "tv"\napps = ["netflix", "netflix"]', "apps"),
    ],
)
def test_a_pin_or_app_that_cannot_be_is_refused_with_its_key(
    tmp_path: Path, text: str, where: str
) -> None:
    (tmp_path / "panel.toml").write_text('[panel]\nid = "a"\nappliances = ["one.toml"]\n')
    (tmp_path / "one.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(where)):
        config.load(tmp_path / "panel.toml")
