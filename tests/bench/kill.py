"""Pulls the plug of a panel that takes orders, at random instants, and counts what came of them."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from bench.corpus import TESTS
from support.broker import Broker
from support.killing import kill

KILLS = 200


def kills(_shared: Path) -> dict[str, dict[str, Any]]:
    """The toll of 200 kills."""
    with tempfile.TemporaryDirectory(prefix="soripan-kill-") as name, Broker(persistence=True) as b:
        folder = Path(name)
        panel = folder / "panel.toml"
        for file in ("panel.toml", "fridge.toml", "tv.toml"):
            (folder / file).write_text((TESTS.parent / f"config/{file}").read_text("utf-8"))
        (folder / "language").symlink_to(TESTS.parent / "config/language")
        text = panel.read_text("utf-8").replace('state = ""', f'state = "{folder / "state"}"')
        panel.write_text(text.replace("port = 1883", f"port = {b.port}"), "utf-8")
        toll = kill(panel, folder / "state", b, KILLS, seed=20)
    names = {
        "kills": "panel killed with -9 at a random instant",
        "acknowledged": "orders that the panel said it took",
        "executed": "orders carried out",
        "lost": "of those acknowledged, lost",
        "twice": "carried out twice",
        "repeated": "requests that came again and were only answered again",
    }
    return {"": {names[k]: v for k, v in dataclasses.asdict(toll).items()}}
