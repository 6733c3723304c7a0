"""``soripan bridge NAME``: runs one bridge."""

import contextlib
import importlib
import logging
import os
import re
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
from soripan.exc import BusyError, RefusedError
from soripan.lock import exclusive

log = logging.getLogger(__name__)

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
    """Run a bridge until SIGTERM; return the exit status.

    Raises:
        RefusedError: the instance's name cannot be one.
        BusyError: another process has it.
        ConfigError: a setting is wrong, or a secret cannot be read.
        StateError: what must survive a power failure cannot be kept.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", instance):
        problem = f"an instance cannot be called “{instance}” (only letters, digits, - and _)"
        raise RefusedError(problem, "instance")
    settings = load(name, file)
    folder = Path(settings.state).expanduser() if settings.state else None
    folder = folder or bridge_state_folder(settings.assistant)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / f"instance-{instance}"))
        except BusyError:
            raise BusyError(
                f"another process of this bridge is called {instance} (give each its own "
                "--instance)"
            ) from None
        memory = stack.enter_context(contextlib.closing(Memory(folder, owner=instance)))
        runtime = Runtime(settings, open_bridge(name, settings, folder), memory, instance)
        _serve(name, settings, runtime, stop)
        if not runtime.metrics.in_hand:
            return 0
    # Python would wait for the workers. What they had begun is begun again by the next process.
    log.warning("%d requests were not finished in time", runtime.metrics.in_hand)
    logging.shutdown()
    os._exit(0)


def _serve(name: str, settings: BridgeSettings, runtime: Runtime, stop: threading.Event) -> None:
    notifier = sdnotify.SystemdNotifier()

    def ready() -> None:
        notifier.notify("READY=1")
        mqtt = settings.mqtt
        print(f"soripan: {name} for {settings.assistant} at {mqtt.host}:{mqtt.port}", flush=True)

    try:
        runtime.run(stop, ready)
    finally:
        notifier.notify("STOPPING=1")
