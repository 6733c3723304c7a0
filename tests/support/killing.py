"""Kills a panel that is taking orders, again and again, and counts what came of the orders."""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soripan.mqtt.outbox import read
from support.assistant import Assistant, ok
from support.broker import Broker

ORDERING = Path(__file__).with_name("ordering.py")
LONGEST = 0.6
"""Seconds that a panel lives at most once it is ready: several orders."""


@dataclass(frozen=True, slots=True)
class Toll:
    """What came of it."""

    kills: int
    acknowledged: int
    """Orders of which the panel said that it took them."""
    executed: int
    """Orders that the shop carried out. One that was taken in the instant of the kill is carried
    out too, though nobody was told."""
    lost: int
    """Acknowledged, and not carried out."""
    twice: int
    """Carried out more than once."""
    repeated: int
    """Requests that came again, under the same id, and were only answered again."""


class Shop:
    """Carries out each id once, as every bridge must."""

    def __init__(self) -> None:
        self.ledger: Counter[tuple[str, str]] = Counter()
        self.ids: set[str] = set()
        self.repeated = 0

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take an order. An order is known by its session: no two sentences have the same."""
        if request["id"] in self.ids:
            self.repeated += 1
        else:
            self.ids.add(request["id"])
            self.ledger[request["session"], request["id"]] += 1
        return ok(request)


def kill(panel_file: Path, state: Path, broker: Broker, kills: int, seed: int) -> Toll:
    """Kill a panel at random instants while it takes orders, and let it finish in the end.

    Args:
        panel_file: its config, with the broker's port in it.
        state: its state folder.
        broker: is killed too, every tenth time; should keep its messages.
        kills: how often the panel dies.
        seed: of the instants.
    """
    rng = random.Random(seed)  # noqa: S311  no secret
    shop = Shop()
    acknowledged: list[str] = []
    alexa = Assistant(broker.port, "alexa", shop)
    for number in range(kills):
        if number % 10 == 9:
            broker.kill()
            broker.start()
        _live(panel_file, acknowledged, rng.uniform(0.0, LONGEST))
    _finish(panel_file, state)
    alexa.close()
    sessions = Counter(session for session, _ in shop.ledger)
    return Toll(
        kills=kills,
        acknowledged=len(acknowledged),
        executed=sum(shop.ledger.values()),
        lost=len(set(acknowledged) - shop.ids),
        twice=sum(count > 1 for count in sessions.values()),
        repeated=shop.repeated,
    )


def _live(panel_file: Path, acknowledged: list[str], seconds: float) -> None:
    """One life of the panel."""
    panel = _start(panel_file)
    assert panel.stdout is not None
    lines: list[str] = []
    assert panel.stdout.readline() == "ready\n"
    reader = threading.Thread(target=lambda: lines.extend(panel.stdout or ()))
    reader.start()
    time.sleep(seconds)
    panel.kill()
    panel.wait()
    reader.join()
    panel.stdout.close()
    # A line that was cut in the middle was not said.
    acknowledged += [line.strip() for line in lines if line.endswith("\n") and line != "-\n"]


def _finish(panel_file: Path, state: Path) -> None:
    """Let what is on the disk be sent and answered."""
    program = [sys.executable, "-m", "soripan", "say", "--config", str(panel_file), "지금 몇 시야"]
    deadline = time.monotonic() + 120
    while read(state)[0]:
        assert time.monotonic() < deadline, "orders are left in the outbox"
        subprocess.run(program, check=True, capture_output=True)


def _start(panel_file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ORDERING), str(panel_file)], stdout=subprocess.PIPE, text=True
    )
