"""Whatever happens while a value is written, the old or the new one is there afterwards."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from soripan.exc import StateError
from soripan.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state", retry=0.05)
    yield store
    store.close()


def test_what_was_saved_is_loaded_before_and_after_it_is_on_disk(store: Store) -> None:
    store.save("fridge", {"light": "on"})
    assert store.load("fridge", dict[str, str]) == {"light": "on"}
    assert store.flush()
    assert store.load("fridge", dict[str, str]) == {"light": "on"}
    assert store.load("tv", dict[str, str]) is None


def test_close_writes_what_waits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(200):
        store.save("number", number)
    store.close()
    assert json.loads((tmp_path / "number.json").read_text()) == 199
    assert [file.name for file in tmp_path.iterdir()] == ["number.json"]


def test_a_value_may_change_after_it_was_saved(store: Store) -> None:
    value = {"light": "on"}
    store.save("fridge", value)
    value["light"] = "off"
    assert store.flush()
    assert store.load("fridge", dict[str, str]) == {"light": "on"}


def test_saving_does_not_wait_for_the_disk_and_only_the_newest_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, forced = threading.Event(), []

    def slow(descriptor: int) -> None:
        forced.append(descriptor)
        go.wait(10.0)

    monkeypatch.setattr(os, "fsync", slow)
    begin = time.monotonic()
    for number in range(1000):
        store.save("number", number)
    assert time.monotonic() - begin < 1.0
    assert store.load("number", int) == 999
    assert not store.flush(timeout=0.05)
    go.set()
    assert store.flush()
    assert store.load("number", int) == 999
    assert len(forced) <= 4  # the first and the newest, each with its folder


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b'{"light": "o', b"[1, 2]", b'{"a": 1}'])
def test_a_corrupt_file_is_set_aside_and_logged(
    store: Store, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "state" / "fridge.json"
    file.write_bytes(content)
    assert store.load("fridge", dict[str, str]) is None
    assert "fridge.json: is corrupt" in caplog.text
    assert file.with_suffix(".corrupt").read_bytes() == content
    assert not file.exists()
    store.save("fridge", {"light": "on"})
    assert store.flush()
    assert store.load("fridge", dict[str, str]) == {"light": "on"}


def test_a_file_that_cannot_be_read_counts_as_absent(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state" / "fridge.json").mkdir()
    assert store.load("fridge", dict[str, str]) is None
    assert "cannot be read" in caplog.text


def test_a_full_disk_is_logged_once_and_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = threading.Event()
    full.set()
    tries = []
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        tries.append(descriptor)
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    store.save("fridge", 1)
    while len(tries) < 3:
        time.sleep(0.01)
    assert caplog.text.count("No space left") == 1
    assert store.load("fridge", int) == 1
    full.clear()
    assert store.flush()
    assert "can be written again" in caplog.text


def crash(folder: Path, call: str) -> None:
    """A process that saves 2 over 1 and dies as it makes a system call."""
    program = f"""
import os, pathlib
from soripan.store import Store
store = Store(pathlib.Path({str(folder)!r}))
store.save("number", 1)
assert store.flush()
pathlib.Path.replace = os.replace = os.fsync = lambda *_: os._exit(9)
{call}
store.save("number", 2)
store.flush()
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9


@pytest.mark.parametrize(
    "call",
    [
        "",
        "os.fsync = lambda file: None",
        "os.fsync = lambda file: os.ftruncate(file, 0)",
    ],
    ids=["before fsync", "between fsync and replace", "with an empty temporary file"],
)
def test_a_crash_before_the_file_is_in_place_leaves_the_old_one(tmp_path: Path, call: str) -> None:
    crash(tmp_path, call)
    assert (tmp_path / ".number.tmp").exists()
    store = Store(tmp_path)
    assert store.load("number", int) == 1
    store.save("number", 3)
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == ["number.json"]
    assert json.loads((tmp_path / "number.json").read_text()) == 3


def test_killed_at_any_moment_the_file_is_whole_and_never_older(tmp_path: Path) -> None:
    program = """
import pathlib, sys
from soripan.store import Store
store = Store(pathlib.Path(sys.argv[1]))
number = (store.load("number", list[int]) or [0])[0]
while True:
    number += 1
    store.save("number", [number] * 500)
    store.flush()
    print(number, flush=True)
"""
    last = 0
    for delay in (0.0, 0.003, 0.007, 0.011, 0.02, 0.05):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
        value = json.loads((tmp_path / "number.json").read_text())
        assert len(value) == 500
        assert len(set(value)) == 1
        assert value[0] >= max(last, *map(int, said or ["0"]))
        last = value[0]
    assert last > 0


def test_written_before_moved_and_the_folder_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(descriptor: int) -> None:
        order.append("fsync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def record_replace(self: Path, target: Any) -> Path:
        order.append(f"replace {self.name} {Path(target).name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    folder = tmp_path / "state"
    store = Store(folder)
    store.save("tv", 1)
    store.close()
    assert order == ["fsync .tv.tmp", "replace .tv.tmp tv.json", "fsync state"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be made"):
        Store(tmp_path / "file" / "state")


def test_a_folder_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may always write
    with pytest.raises(StateError, match="cannot be written to"):
        Store(tmp_path)


@pytest.mark.parametrize("name", ["", "../tv", "a/b", ".tv", "TV", "tv.json", "x" * 101])
def test_a_name_cannot_leave_the_folder(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        store.save(name, 1)
    with pytest.raises(ValueError, match="cannot be the name"):
        store.load(name, int)
