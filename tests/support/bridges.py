"""Bridges as processes, and somebody who asks them."""

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from soripan.mqtt.messages import Item, Request, encode
from support.broker import Monitor

ROOT = Path(__file__).parents[2]


def settings_file(folder: Path, name: str, port: int, **values: str) -> Path:
    """A bridge's shipped file with a broker, a state folder and other values of the test."""
    values = {"port": str(port), "state": f'"{folder / "state"}"', **values}
    lines = (ROOT / f"config/bridges/{name}.toml").read_text("utf-8").splitlines()
    changed = [
        f"{key} = {values[key]}" if (key := line.split(" = ")[0]) in values else line
        for line in lines
    ]
    file = folder / f"{name}.toml"
    file.write_text("\n".join(changed) + "\n", "utf-8")
    return file


def start_bridge(name: str, file: Path, instance: str = "1") -> subprocess.Popen[str]:
    """A bridge process, once it is about to connect."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "soripan", "bridge", name),
            *("--config", str(file), "--instance", instance),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("soripan: "), process.communicate()
    return process


def order(quantity: int = 2, **values: Any) -> Request:
    """A request for milk."""
    defaults: dict[str, Any] = {
        "panel": "kitchen",
        "appliance": "fridge",
        "language": "ko",
        "assistant": "alexa",
        "kind": "shopping",
        "text": "우유 주문해 줘",
        "intent": "ShoppingOrder",
        "items": [Item(name="우유", quantity=quantity, unit="병")],
        "confidence": 0.9,
        "session": uuid.uuid4().hex[:12],
        "attempt": 1,
        "reply_to": "soripan/kitchen/reply",
    }
    return Request(**defaults | values)


def question(text: str = "내일 날씨 어때", **values: Any) -> Request:
    """A request that is a question."""
    return order(kind="unresolved", text=text, intent=None, items=None, **values)


def ask(monitor: Monitor, request: Request) -> None:
    """Publish a request as its panel would."""
    monitor.publish(f"soripan/{request.panel}/request/{request.assistant}", encode(request))
