"""What a stranger runs first: the Makefile, firmware/setup.sh, and the lock files."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def bare(name: str) -> str:
    """The normalised name of a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", name)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def locked(file: str) -> dict[str, str]:
    """The pins of a lock file: requirement line by name."""
    text = (ROOT / file).read_text()
    entries = re.findall(r"(?m)^([a-z0-9-]+==[^\\\n]*(?:\\\n .*)+)", text)
    return {bare(entry): entry for entry in entries}


class TestLocks:
    @pytest.mark.parametrize(
        ("file", "wanted"),
        [
            (
                "requirements.lock",
                PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["build"],
            ),
            ("requirements-dev.lock", PYPROJECT["dependency-groups"]["dev"]),
        ],
    )
    def test_holds_what_we_ask_for_pinned_and_hashed(self, file: str, wanted: list[str]) -> None:
        pins = locked(file)
        assert {bare(name) for name in wanted} <= set(pins)
        assert all("--hash=sha256:" in entry for entry in pins.values())
        unpinned = [
            line
            for line in (ROOT / file).read_text().splitlines()
            if re.match(r"[^ #]", line) and not re.match(r"[a-z0-9-]+==\S", line)
        ]
        assert unpinned == []

    @pytest.mark.parametrize("file", ["requirements.lock", "requirements-dev.lock"])
    def test_names_no_host_and_no_path(self, file: str) -> None:
        text = (ROOT / file).read_text()
        assert not re.search(r"https?:|--(extra-)?index-url|--find-links|file:", text)

    def test_leaves_out_what_new_pythons_lack(self) -> None:
        assert "tflite" not in (ROOT / "requirements.lock").read_text()
        assert "colorama" not in (ROOT / "requirements.lock").read_text()

    def test_both_agree(self) -> None:
        run, dev = locked("requirements.lock"), locked("requirements-dev.lock")
        for name in run.keys() & dev.keys():
            assert run[name].split(" ")[0] == dev[name].split(" ")[0]


def test_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"(?m)^\.PHONY: (.*)$", makefile)
    assert phony
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(re.findall(r"(?m)^  make (\S+) +\S", told)) == sorted(phony[1].split())


def test_the_wheel_holds_all_that_is_read_at_run_time(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "firmware", source / "firmware")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*build, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    data = [p for p in (ROOT / "firmware/soripan").rglob("*") if p.suffix in {".toml", ".typed"}]
    assert len(data) >= 2
    assert {p.relative_to(ROOT / "firmware").as_posix() for p in data} <= held
    assert not any(name.startswith("tests") for name in held)


class Machine:
    """A machine with only these programs, where apt-get writes down what it is asked."""

    TOOLS = ("bash", "cat", "dirname", "env", "grep", "awk", "id")

    def __init__(self, folder: Path, python: str) -> None:
        self.bin = folder / "bin"
        self.asked = folder / "asked"
        self.bin.mkdir()
        for tool in self.TOOLS:
            path = shutil.which(tool)
            assert path
            (self.bin / tool).symlink_to(path)
        self.program("python3", python)
        self.program("apt-get", f'echo "$DEBIAN_FRONTEND $*" >> {self.asked}')

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / "bash", ROOT / "firmware/setup.sh", *arguments],
            env={"PATH": str(self.bin), "HOME": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )


FINE = "exit 0"
# New enough, but Debian left the parts for virtual environments out.
WITHOUT_VENV = 'case "$*" in *ensurepip*) exit 1;; esac'
OLD = 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi'


class TestPackages:
    def test_installs_what_is_missing_and_says_why(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, WITHOUT_VENV)
        machine.program("id", "echo 0")
        result = machine.setup("packages", "run")
        assert result.returncode == 0, result.stderr
        assert "python3-venv is missing: makes the virtual environment" in result.stdout
        update, install = machine.asked.read_text().splitlines()
        assert update == "noninteractive -y -q update"
        assert install.startswith("noninteractive -y -q install --no-install-recommends --no-rem")
        assert install.endswith(" python3-venv libfst-tools espeak-ng")

    def test_asks_for_nothing_that_is_there(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, FINE)
        machine.program("fstcompose", "")
        machine.program("espeak-ng", "")
        assert machine.setup("packages", "run").returncode == 0
        assert not machine.asked.exists()

    def test_uses_sudo_unless_root(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, FINE)
        machine.program("id", "echo 1000")
        machine.program("sudo", f'echo "sudo $3 $4 $5" >> {machine.asked}')
        assert machine.setup("packages", "run").returncode == 0
        assert set(machine.asked.read_text().splitlines()) == {"sudo apt-get -y -q"}

    def test_says_what_to_do_without_root_and_sudo(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, FINE)
        machine.program("id", "echo 1000")
        result = machine.setup("packages", "run")
        assert result.returncode == 1
        assert "no sudo. As root: apt-get install libfst-tools espeak-ng" in result.stderr
        assert not machine.asked.exists()

    def test_a_failing_apt_get_ends_it(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, FINE)
        machine.program("id", "echo 0")
        machine.program("apt-get", "exit 100")
        result = machine.setup("packages", "run")
        assert result.returncode == 1
        assert "could not install: libfst-tools espeak-ng" in result.stderr

    @pytest.mark.parametrize("arguments", [("packages", "demo"), ("venv",)])
    def test_an_old_python_is_named(self, tmp_path: Path, arguments: tuple[str, ...]) -> None:
        result = Machine(tmp_path, OLD).setup(*arguments)
        assert result.returncode == 1
        assert "Python 3.11 or newer is needed, and here is Python 3.9.2" in result.stderr

    def test_install_wants_root(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, FINE)
        machine.program("id", "echo 1000")
        result = machine.setup("install")
        assert result.returncode == 1
        assert "sudo make install" in result.stderr
