"""Nothing that was acknowledged is lost, and nothing is ordered twice, whenever the plug is pulled.

`make bench ARGS="--part kill"` does the same 200 times.
"""

from pathlib import Path

from support.broker import Broker
from support.killing import kill

KILLS = 10


def test_kill_at_any_instant(config_file: Path, tmp_path: Path) -> None:
    with Broker(persistence=True) as broker:
        text = config_file.read_text("utf-8").replace("port = 1883", f"port = {broker.port}")
        config_file.write_text(text, "utf-8")
        toll = kill(config_file, tmp_path / "state", broker, KILLS, seed=1)
    assert toll.acknowledged > 0
    assert (toll.lost, toll.twice) == (0, 0)
    assert toll.acknowledged <= toll.executed <= toll.acknowledged + KILLS
