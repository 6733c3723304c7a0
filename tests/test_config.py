"""Every mistake in the settings is found on loading, and named by file, key and remedy."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from soripan import config
from soripan.config import (
    FridgePins,
    FridgeSettings,
    LedPin,
    RelayPin,
    Settings,
    SwitchPin,
    TvPins,
    TvSettings,
)
from soripan.exc import ConfigError

SHIPPED = Path(__file__).parents[1] / "config"
PANEL = '[panel]\nid = "kitchen"\nappliances = []\n'


def refused(file: Path) -> ConfigError:
    """The error that loading must end with; its message is one line that begins with the file."""
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(caught.value.path))
    return caught.value


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("[audio]\nearcon = true", "audio.earcon", "did you mean “earcons”?"),
        ("[adio]", "adio", "did you mean “audio”?"),
        ("[audio]\nxyzzy = 1", "audio.xyzzy", "remove it"),
        ("[[wake.words]]\nmodel = 'a'\ntreshold = 1", "wake.words[0].treshold", "“threshold”"),
        ("[mqtt]\nport = '1883'", "mqtt.port", "expected `int`, got `str`"),
        ("[mqtt]\nport = 0", "mqtt.port", ">= 1"),
        ("[wake]\npre_roll = 3.5", "wake.pre_roll", "<= 3.0"),
        ("[wake]\nwords = []", "wake.words", "length >= 1"),
        ("[[wake.words]]\nassistant = 'panel'", "wake", "needs `model`, and no `phrase`"),
        ("[wake]\nengine = 'phrase'", "wake", "needs `phrase`, and no `model`"),
        ("[wake]\ngate_margin = 0", "wake.gate_margin", ">= 1"),
        ("[asr]\ngraph = 'half'", "asr.graph", "invalid enum value 'half'"),
        ("[router]\nhome = 'A B'", "router.home", "regex"),
        ("[gpio]\nmute_led = 40", "gpio.mute_led", "<= 27"),
    ],
)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, text: str, key: str, said: str) -> None:
    file = tmp_path / "panel.toml"
    file.write_text(PANEL + text)
    error = refused(file)
    assert (error.path, error.key) == (file, key)
    assert key in str(error)
    assert said in str(error)
    assert str(error).endswith(")"), "no remedy"


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('kind = "fridge"\nfrige_min = 2', "frige_min", "did you mean “fridge_min”?"),
        ('kind = "oven"', "kind", "oven"),
        ('id = "fridge"', "kind", "is missing (add it)"),
        ('kind = "fridge"\nfridge_min = 7', "fridge_min", "is not below fridge_max"),
        ('kind = "tv"\napps = ["netflix", "netflix"]', "", "an app twice"),
        (
            'kind = "fridge"\n[gpio.ice_makr]\ntype = "relay"\npin = 5',
            "gpio.ice_makr",
            "did you mean “ice_maker”?",
        ),
        (
            'kind = "fridge"\n[gpio.ice_maker]\ntype = "relay"\npin = 5\nactiv_high = true',
            "gpio.ice_maker.activ_high",
            "did you mean “active_high”?",
        ),
        (
            'kind = "fridge"\n[gpio.ice_maker]\ntype = "relay"\npin = 5\n'
            '[gpio.fridge_light]\ntype = "led"\npin = 5',
            "gpio.fridge_light.pin",
            "pin 5 is taken by ice_maker (give each",
        ),
    ],
)
def test_a_mistake_in_an_appliance_is_named_by_its_file(
    tmp_path: Path, text: str, key: str, said: str
) -> None:
    file, appliance = tmp_path / "panel.toml", tmp_path / "a.toml"
    file.write_text('[panel]\nid = "kitchen"\nappliances = ["a.toml"]')
    appliance.write_text(text)
    error = refused(file)
    assert (error.path, error.key) == (appliance, key)
    assert said in str(error)


def test_no_such_file(tmp_path: Path) -> None:
    assert "no such file (name it with --config)" in str(refused(tmp_path / "panel.toml"))


def test_no_such_appliance_file(tmp_path: Path) -> None:
    file = tmp_path / "panel.toml"
    file.write_text('[panel]\nid = "kitchen"\nappliances = ["oven.toml"]')
    error = refused(file)
    assert (error.path, error.key) == (file, "panel.appliances")
    assert f"{tmp_path / 'oven.toml'}: no such file (correct its name" in str(error)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in str(refused(tmp_path))


def test_not_toml(tmp_path: Path) -> None:
    (tmp_path / "panel.toml").write_text("[panel\nid = 1")
    error = refused(tmp_path / "panel.toml")
    assert "is not TOML" in str(error)
    assert "line 1" in str(error)


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "panel.toml").write_bytes('# 부엌\n[panel]\nid = "kitchen"'.encode("euc-kr"))
    assert "(save it as UTF-8)" in str(refused(tmp_path / "panel.toml"))


def test_an_id_is_used_once(tmp_path: Path) -> None:
    file = tmp_path / "panel.toml"
    file.write_text('[panel]\nid = "kitchen"\nappliances = ["a.toml", "b.toml"]')
    (tmp_path / "a.toml").write_text('kind = "tv"')
    (tmp_path / "b.toml").write_text('kind = "fridge"\nid = "tv"')
    error = refused(file)
    assert (error.path, error.key) == (tmp_path / "b.toml", "id")
    assert f"also the id in {tmp_path / 'a.toml'} (give each" in str(error)


def test_the_shipped_settings_are_the_defaults() -> None:
    loaded = config.load(SHIPPED / "panel.toml")
    assert loaded.settings == msgspec.convert({"panel": {"id": "kitchen"}}, Settings)
    assert loaded.appliances == (FridgeSettings(), TvSettings())


def _keys(kind: type[msgspec.Struct]) -> set[str]:
    return set(kind.__struct_fields__)


def _uncommented(file: Path) -> dict[str, Any]:
    """A shipped file with the settings that are commented out put in."""
    text = re.sub(r"(?m)^# (?=\[|\w+ = )", "", file.read_text(encoding="utf-8"))
    return tomllib.loads(text)


def test_the_shipped_panel_shows_every_setting() -> None:
    shipped = _uncommented(SHIPPED / "panel.toml")
    assert shipped.keys() == _keys(Settings)
    defaults = msgspec.convert({"panel": {"id": "kitchen"}}, Settings)
    for table in _keys(Settings):
        assert shipped[table].keys() == _keys(type(getattr(defaults, table))), table
    assert shipped["wake"]["words"][0].keys() == _keys(config.WakeWordSettings)
    msgspec.convert(shipped, Settings)


@pytest.mark.parametrize(
    ("name", "kind", "pins"),
    [("fridge", FridgeSettings, FridgePins), ("tv", TvSettings, TvPins)],
)
def test_the_shipped_appliances_show_every_setting(
    name: str, kind: type[msgspec.Struct], pins: type[msgspec.Struct]
) -> None:
    file = SHIPPED / f"{name}.toml"
    shipped = _uncommented(file)
    assert shipped.keys() == _keys(kind) | {"kind"}
    text = file.read_text(encoding="utf-8")
    assert all(re.search(rf"\b{pin}\b", text) for pin in _keys(pins))
    types = {"relay": RelayPin, "led": LedPin, "switch": SwitchPin}
    for pin in shipped["gpio"].values():
        assert pin.keys() == _keys(types[pin["type"]]) | {"type"}
    loaded: Any = msgspec.convert(shipped, kind)
    assert len(loaded.gpio.items()) == len(shipped["gpio"])


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "panel.toml").write_text(PANEL)
    loaded = config.load(tmp_path / "panel.toml")
    monkeypatch.delenv("SORIPAN_MODELS", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/soripan")
    assert loaded.state_folder == Path("/var/lib/soripan")
    assert loaded.models_folder == Path("/var/lib/soripan/models")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert loaded.state_folder == tmp_path / "s/soripan"
    assert loaded.graphs_folder == tmp_path / "c/soripan/models/graphs"
    assert loaded.language_folder == tmp_path / "language"
