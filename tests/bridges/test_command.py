"""The files of the bridges, and the command that runs them."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from soripan.bridges.command import BRIDGES, default_file, load
from soripan.exc import ConfigError
from support.bridges import ROOT


@pytest.mark.parametrize("name", BRIDGES)
def test_the_shipped_settings_are_the_defaults(name: str) -> None:
    shipped = load(name, ROOT / f"config/bridges/{name}.toml")
    defaults = msgspec.convert({"assistant": shipped.assistant}, type(shipped))
    assert shipped == defaults
    assert default_file(name).name == f"{name}.toml"


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "simulator.toml"
    file.write_text('assistant = "alexa"\n[simulator]\ndelya = 3\n')
    with pytest.raises(ConfigError, match=r"simulator\.delya.*delay"):
        load("simulator", file)


def soripan(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "soripan", "bridge", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    assert "simulator" in soripan("--help").stdout
    assert soripan("nobody").returncode == 2
    missing = soripan("simulator", "--config", str(tmp_path / "x.toml"))
    assert (missing.returncode, missing.stdout) == (78, "")
    assert "no such file" in missing.stderr
