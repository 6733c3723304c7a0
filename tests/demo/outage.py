"""The last act: the network is gone, an order is taken, the plug is pulled, and all comes back."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from support.broker import Broker

PANEL = Path(__file__).with_name("panel.py")
PATIENCE = 90.0
"""Seconds until something that must happen has not."""

Say = Callable[[str, str], None]


class OutageError(RuntimeError):
    """Something that had to happen did not."""


def play(
    broker: Broker, config: Path, files: Sequence[Path], ledgers: Sequence[Path], say: Say
) -> bool:
    """Play it; return whether the order was carried out exactly once.

    Args:
        broker: is killed and started again.
        config: the panel's settings.
        files: recordings of an order, and of the yes to it.
        ledgers: of the shops: it may be the one or the other whose bridge comes back first.
        say: prints a line: what, and text.
    """
    before = bought(ledgers)
    broker.kill()
    say("the broker", "is killed (-9)")
    panel = _Process(config, files, say)
    panel.wait_for("ready")
    say("the panel", "is killed (-9)")
    panel.kill()
    time.sleep(0.5)
    broker.start()
    say("both", "come back")
    panel = _Process(config, (), say)
    deadline = time.monotonic() + PATIENCE
    while bought(ledgers) == before:
        _check(deadline, "the order does not arrive")
        time.sleep(0.1)
    panel.wait_for("원에 주문했어요")
    time.sleep(2.0)  # long enough for a second one, if there were one
    panel.kill()
    new = bought(ledgers) - before
    for _, _, _, name, quantity in new:
        say("the shop", f"has sold {quantity} x {name}")
    say("orders", f"1 taken, {len(new)} carried out")
    return len(new) == 1


def bought(ledgers: Sequence[Path]) -> set[tuple[Path, int, str, str, int]]:
    """What the shops have sold: ledger and its line, request, name, quantity."""
    sold = set()
    for ledger in filter(Path.exists, ledgers):
        with closing(sqlite3.connect(ledger)) as database:
            rows = database.execute("SELECT rowid, id, name, quantity FROM bought")
            sold |= {(ledger, int(n), str(i), str(name), int(q)) for n, i, name, q in rows}
    return sold


class _Process:
    """A panel, and what it says."""

    def __init__(self, config: Path, files: Sequence[Path], say: Say) -> None:
        self._lines: list[str] = []
        self._say = say
        self._process = subprocess.Popen(
            [sys.executable, str(PANEL), str(config), *map(str, files)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str) -> None:
        """Wait until it has said something."""
        deadline = time.monotonic() + PATIENCE
        while not any(text in line for line in self._lines):
            _check(deadline, f"the panel does not say “{text}”")
            if self._process.poll() is not None:
                raise OutageError("the panel ended")
            time.sleep(0.05)

    def kill(self) -> None:
        """Pull the plug."""
        self._process.kill()
        self._process.wait()
        self._reader.join(5)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            what, _, text = line.strip().partition(" ")
            self._lines.append(text or what)
            if text:
                self._say(what, text)


def _check(deadline: float, problem: str) -> None:
    if time.monotonic() > deadline:
        raise OutageError(problem)
