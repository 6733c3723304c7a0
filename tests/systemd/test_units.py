"""The units, as systemd itself reads them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is missing: sudo apt-get install systemd",
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def systemd_version() -> int:
    found = re.search(r"systemd (\d+)", analyze("--version").stdout)
    assert found
    return int(found[1])


def complaints(
    tmp_path: Path, text: str, *drop_ins: Path, name: str = "soripan.service"
) -> list[str]:
    """What ``systemd-analyze verify`` says of a unit whose program exists."""
    unit = tmp_path / name
    unit.write_text(re.sub(r"(?m)^ExecStart=.*$", "ExecStart=/bin/true", text))
    for drop_in in drop_ins:
        folder = tmp_path / "soripan.service.d"
        folder.mkdir()
        shutil.copy(drop_in, folder)
    return [line for line in analyze("verify", unit).stdout.splitlines() if "soripan" in line]


@pytest.fixture
def service() -> str:
    return (UNITS / "soripan.service").read_text()


def test_systemd_understands_every_line(tmp_path: Path, service: str) -> None:
    assert complaints(tmp_path, service) == []


def test_a_mistyped_key_would_be_found(tmp_path: Path, service: str) -> None:
    mistyped = service.replace("ProtectHome=", "ProtectHouse=")
    assert "Unknown key" in complaints(tmp_path, mistyped)[0]


def test_the_password_example_works_when_uncommented(tmp_path: Path, service: str) -> None:
    assert "\n#LoadCredential=" in service
    assert complaints(tmp_path, service.replace("#LoadCredential", "LoadCredential")) == []


def test_backoff_is_understood_since_254(tmp_path: Path, service: str) -> None:
    found = complaints(tmp_path, service, UNITS / "backoff.conf")
    if systemd_version() >= 254:
        assert found == []
    else:  # and this is why it is a file of its own
        assert len(found) == 2
        assert all("Unknown key" in line for line in found)


def test_exposure_is_low() -> None:
    result = analyze("security", "--offline=true", "--threshold=20", UNITS / "soripan.service")
    assert result.returncode == 0, result.stdout


@pytest.fixture
def bridge() -> str:
    return (UNITS / "soripan-bridge@.service").read_text()


def test_systemd_understands_every_line_of_the_bridges(tmp_path: Path, bridge: str) -> None:
    name = "soripan-bridge@simulator.service"
    assert complaints(tmp_path, bridge, name=name) == []
    uncommented = bridge.replace("#LoadCredential", "LoadCredential")
    assert uncommented != bridge
    assert complaints(tmp_path, uncommented, name=name) == []


def test_a_bridge_sees_even_less(tmp_path: Path, bridge: str) -> None:
    unit = tmp_path / "soripan-bridge@simulator.service"
    unit.write_text(bridge)
    result = analyze("security", "--offline=true", "--threshold=15", unit)
    assert result.returncode == 0, result.stdout


def test_nothing_phones_home(service: str) -> None:
    assert "\nEnvironment=ORT_DISABLE_TELEMETRY=1\n" in service


def test_it_starts_what_make_install_puts_there(service: str) -> None:
    setup = (UNITS.parent / "firmware/setup.sh").read_text()
    found = re.search(r"(?m)^PREFIX=(.*)$", setup)
    assert found
    assert f"\nExecStart={found[1]}/bin/soripan run\n" in service
    assert "\nStateDirectory=soripan\n" in service
    assert "\nMODELS=/var/lib/soripan/models\n" in setup
