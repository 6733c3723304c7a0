"""Checks everything a panel needs, and says how to mend what is not right."""

import functools
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from soripan import config
from soripan.appliances import create_driver
from soripan.asr.models import ModelStore
from soripan.asr.openfst import tools
from soripan.audio.frame import FRAME_SECONDS, Samples
from soripan.audio.microphone import MicrophoneSource, list_devices
from soripan.config import ApplianceSettings, Config, ShoppingSettings
from soripan.dialog.pin import Pin
from soripan.dialog.responses import Responses
from soripan.ears import built_graph, models_needed, profile
from soripan.exc import MicrophoneError, SoripanError
from soripan.mouth import create_synthesiser
from soripan.mqtt import outbox
from soripan.mqtt.connection import probe
from soripan.nlu import templates
from soripan.nlu.grammar import compile_grammar
from soripan.secret import read_secret

_GOOD: Final = "[green]good[/]"
_BAD: Final = "[red]bad [/]"
_LISTEN_FOR: Final = 5.0
"""Seconds that the microphone has for its first second of sound."""


def examine(path: Path, console: Console) -> int:
    """Print a line for each check; return 0 if all are good, else 1."""

    def check(what: str, test: Callable[[], str]) -> bool:
        try:
            finding, mark = test(), _GOOD
        except SoripanError as error:
            finding, mark = str(error), _BAD
        console.print(f"{mark} {what}: ", end="")
        console.print(finding, soft_wrap=True, highlight=False, markup=False)
        return mark is _GOOD

    loaded: list[Config] = []

    def load() -> str:
        loaded.append(config.load(path))
        return str(path)

    if not check("config", load):
        return 1
    good = [check(what, test) for what, test in _checks(loaded[0])]  # all, even after a bad one
    return 0 if all(good) else 1


def _checks(settings: Config) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "system", lambda: f"Python {platform.python_version()}, {platform.machine()}"
    yield "sentences", lambda: _sentences(settings)
    for name in models_needed(settings):
        yield "model", functools.partial(_model, settings, name)
    if profile(settings) is not None:
        yield "listening graph", functools.partial(_graph, settings)
    yield "microphone", lambda: _microphone(settings)
    yield "voice", functools.partial(_voice, settings)
    yield "broker", lambda: probe(settings.settings.mqtt)
    yield "outbox", functools.partial(_outbox, settings)
    yield "orders", functools.partial(_orders, settings.settings.shopping)
    for appliance in settings.appliances:
        yield f"appliance {appliance.id}", functools.partial(_appliance, appliance)


def _sentences(settings: Config) -> str:
    loaded = templates.load(settings.language_folder, settings.settings.panel.language)
    states = len(compile_grammar(loaded).arcs)
    return f"{len(loaded.sentences)} templates, {states} states"


def _model(settings: Config, name: str) -> str:
    store = ModelStore(settings.models_folder)
    path = store.path(name)
    if name in store.registry.models:
        store.verify(name)
        return f"{name} is whole"
    return f"{path} (your own, not checked)"


def _graph(settings: Config) -> str:
    with tools():
        pass
    grammar = compile_grammar(
        templates.load(settings.language_folder, settings.settings.panel.language)
    )
    folder = built_graph(settings, ModelStore(settings.models_folder), grammar)
    return f"{folder}" if folder is not None else "not built yet; the next start does it"


def _microphone(settings: Config) -> str:
    """Listen for a second."""
    wanted = settings.settings.audio.device
    frames: list[Samples] = []
    with MicrophoneSource(wanted, settings.settings.audio.queue) as microphone:
        deadline = time.monotonic() + _LISTEN_FOR
        while len(frames) * FRAME_SECONDS < 1.0 and time.monotonic() < deadline:
            if (frame := microphone.read(0.1)) is not None:
                frames.append(frame.samples)
    names = ", ".join(f"“{d.name}”{' (default)' * d.default}" for d in list_devices())
    if not frames:
        raise MicrophoneError(
            f"no sound comes from {wanted or 'the default one'}; there is {names}"
        )
    level = np.sqrt(np.mean(np.concatenate(frames).astype(np.float64) ** 2)) / 32768
    heard = f"{20 * np.log10(level):.0f} dBFS" if level else "digital silence: is it switched off?"
    return f"{wanted or 'the default one'} of {names}: {heard}"


def _voice(settings: Config) -> str:
    """Speak, but not aloud."""
    synthesiser = create_synthesiser(settings)
    if synthesiser is None:
        return "off"
    language = settings.settings.panel.language
    text = Responses(settings.language_folder, language).text("no_speech")
    sound, rate = synthesiser.speak(text)
    return f"{synthesiser.command[0]} gives {len(sound) / rate:.1f} s of sound for “{text}”"


def _outbox(settings: Config) -> str:
    if not (settings.state_folder / outbox.FILE).exists():
        return "nothing yet"
    entries, _ = outbox.read(settings.state_folder)
    if not entries:
        return "nothing is under way"
    oldest = f"{entries[0].request.at.astimezone():%Y-%m-%d %H:%M}"
    return f"{len(entries)} under way, the oldest since {oldest} (see: soripan outbox list)"


def _orders(settings: ShoppingSettings) -> str:
    if settings.pin_file:
        Pin(read_secret(settings.pin_file, "shopping.pin_file"), settings.pin_file)
    return {"off": "off", "confirm": "after a spoken yes", "pin": "after a yes and the PIN"}[
        settings.orders
    ]


def _appliance(settings: ApplianceSettings) -> str:
    create_driver(settings).close()
    return f"driver {settings.driver}"
