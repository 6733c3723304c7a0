"""``soripan bridge NAME``: runs one bridge."""

import importlib
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import sdnotify

from soripan.bridges.bridge import Bridge, BridgeSettings
from soripan.bridges.memory import Memory
from soripan.bridges.runtime import Runtime
from soripan.config import bridge_state_folder, load_table

BRIDGES: Final = {
    "home_assistant": "HomeAssistant",
    "openai": "OpenAi",
    "webhook": "Webhook",
    "simulator": "Simulator",
}
"""The bridges: the module of each, with its class. The module also has a class ``Settings``."""


def default_file(name: str) -> Path:
    """Where a bridge's settings are if no file is named."""
    installed = Path(f"/etc/soripan/bridges/{name}.toml")
    shipped = Path(__file__).parents[3] / f"config/bridges/{name}.toml"
    return installed if installed.exists() else shipped


def load(name: str, file: Path) -> BridgeSettings:
    """Read a bridge's file.

    Raises:
        ConfigError: it is missing or broken, a key unknown, a value wrong.
    """
    module = importlib.import_module(f"soripan.bridges.{name}")
    settings: BridgeSettings = load_table(file, module.Settings)
    return settings


def open_bridge(name: str, settings: BridgeSettings, folder: Path) -> Bridge:
    """The bridge of that name.

    Raises:
        ConfigError: a secret that it needs cannot be read.
        StateError: its folder cannot be used.
    """
    module = importlib.import_module(f"soripan.bridges.{name}")
    make: Callable[..., Any] = getattr(module, BRIDGES[name])
    bridge: Bridge = make(settings, folder) if name == "simulator" else make(settings)
    return bridge


def run(name: str, file: Path, instance: str) -> int:
    """Run a bridge until SIGTERM; return the exit status."""
    settings = load(name, file)
    folder = Path(settings.state).expanduser() if settings.state else None
    folder = folder or bridge_state_folder(settings.assistant)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    memory = Memory(folder)
    runtime = Runtime(settings, open_bridge(name, settings, folder), memory, instance)
    notifier = sdnotify.SystemdNotifier()

    def ready() -> None:
        notifier.notify("READY=1")
        mqtt = settings.mqtt
        print(f"soripan: {name} for {settings.assistant} at {mqtt.host}:{mqtt.port}", flush=True)

    try:
        runtime.run(stop, ready)
    finally:
        notifier.notify("STOPPING=1")
        memory.close()
    return 0
