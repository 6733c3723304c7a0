"""The main job, before your eyes: recordings go through the real pipeline in real time.

Real wake words, real recognition, real MQTT, bridges as processes of their own; only the fridge,
the TV and the assistants are simulated. In the end the network and the plug are pulled. Exit status
0 if every utterance was understood as its label says, and the last order was carried out exactly
once.
"""

import argparse
import difflib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from demo import outage  # noqa: E402
from soripan import config  # noqa: E402
from soripan.asr.models import ModelStore, fetch_all  # noqa: E402
from soripan.audio.files import FileSource  # noqa: E402
from soripan.config import Config  # noqa: E402
from soripan.decide import Result  # noqa: E402
from soripan.ears import models_needed  # noqa: E402
from soripan.events import (  # noqa: E402
    Event,
    EventBus,
    IntentReady,
    ReplyReady,
    TranscriptReady,
    Wake,
)
from soripan.exc import SoripanError  # noqa: E402
from soripan.mqtt.client import Client  # noqa: E402
from soripan.mqtt.outbox import Outbox  # noqa: E402
from soripan.nlu import templates  # noqa: E402
from soripan.nlu.intents import Intent  # noqa: E402
from soripan.nlu.render import Renderer  # noqa: E402
from soripan.panel import Panel  # noqa: E402
from soripan.store import Store  # noqa: E402
from support.broker import Broker, Monitor, Received  # noqa: E402

AUDIO = TESTS / "audio"
REPLY = 30.0
"""Seconds that an assistant may take."""
SETTLE = 1.0
"""Seconds that MQTT messages have to come back after an utterance."""


def main() -> int:
    """Run the demo; return the exit status."""
    options = _options()
    console = Console(highlight=False, soft_wrap=True)
    try:
        with ExitStack() as stack:
            broker, host, port = _broker(options.broker, stack, console)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soripan-demo-")))
            settings = _settings(options.config, host, port, folder)
            for assistant in ("alexa", "google"):
                stack.enter_context(_bridge(assistant, folder, port, host))
            fetch_all(models_needed(settings), ModelStore(settings.models_folder), console)
            labels = _labels()
            with _Demo(settings, console, options.fast) as demo:
                wrong = [label for label in labels if not demo.play(label)]
                demo.prepare_outage()
            demo.summarise()
            if broker is not None and not _last_act(broker, settings, folder, console):
                wrong.append({})
    except (SoripanError, RuntimeError, ConnectionError) as error:
        console.print(f"[red]soripan demo:[/] {escape(str(error))}")
        return 1
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--config", type=Path, default=TESTS.parent / "config/panel.toml")
    parser.add_argument(
        "--broker", type=_address, metavar="HOST:PORT", help="a broker of yours, to watch it there"
    )
    parser.add_argument("--fast", action="store_true", help="as fast as it goes, not in real time")
    return parser.parse_args()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port or 1883)


def _broker(
    named: tuple[str, int] | None, stack: ExitStack, console: Console
) -> tuple[Broker | None, str, int]:
    """A broker of our own, unless one is named; that one is not killed in the end."""
    if named is not None:
        return None, *named
    broker = stack.enter_context(Broker())
    console.print(f"a private mosquitto listens on {broker.host}:{broker.port}; watch it with")
    console.print(f"  mosquitto_sub -v -t 'soripan/#' -p {broker.port}\n", style="bold")
    return broker, broker.host, broker.port


@contextmanager
def _bridge(assistant: str, folder: Path, port: int, host: str) -> Iterator[None]:
    """A simulated assistant, as a process."""
    file = folder / f"{assistant}.toml"
    file.write_text(
        f'assistant = "{assistant}"\nstate = "{folder / assistant}"\n'
        f'[mqtt]\nhost = "{host}"\nport = {port}\n'
    )
    command = [sys.executable, "-m", "soripan", "bridge", "simulator", "--config", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _last_act(broker: Broker, settings: Config, folder: Path, console: Console) -> bool:
    """The network and the plug are pulled while an order is made."""
    console.rule("[bold]and now without network and power[/]", align="left", style="dim")
    config_folder = folder / "config"
    shutil.copytree(settings.path.parent, config_folder)
    panel = config_folder / "panel.toml"
    text = panel.read_text(encoding="utf-8").replace('state = ""', f'state = "{folder}"', 1)
    text = re.sub(r"(?m)^port = \d+", f"port = {broker.port}", text)
    panel.write_text(re.sub(r"(?m)^host = .*", f'host = "{broker.host}"', text), encoding="utf-8")
    files = yaml.safe_load((AUDIO / "demo.yaml").read_text(encoding="utf-8"))["outage"]
    ledgers = [folder / f"{assistant}/shop.db" for assistant in ("alexa", "google")]

    def say(what: str, line: str) -> None:
        console.print(f"  {what:>10}  {escape(line)}")

    good = outage.play(broker, panel, [AUDIO / file for file in files], ledgers, say)
    console.print("  [green]exactly once[/]" if good else "  [red]wrong[/]")
    return good


def _settings(path: Path, host: str, port: int, folder: Path) -> Config:
    """The panel's own settings, with this broker, and a state that nobody else uses."""
    loaded = config.load(path)
    replace = msgspec.structs.replace
    settings = replace(
        loaded.settings,
        panel=replace(loaded.settings.panel, state=str(folder)),
        mqtt=replace(loaded.settings.mqtt, host=host, port=port, tls=False, username=""),
        audio=replace(loaded.settings.audio, earcons=False),
    )
    return replace(loaded, settings=settings)


def _labels() -> list[dict[str, Any]]:
    """The recordings to play, in order, with what is to be understood."""
    wanted = yaml.safe_load((AUDIO / "demo.yaml").read_text(encoding="utf-8"))["play"]
    labels = yaml.safe_load((AUDIO / "labels.yaml").read_text(encoding="utf-8"))
    known = {label["file"]: label for label in labels}
    return [known[file] for file in wanted]


class _Demo:
    """A panel, and a client that sees what it publishes."""

    def __init__(self, settings: Config, console: Console, fast: bool) -> None:
        self._settings = settings
        self._console = console
        self._fast = fast
        self._rows: list[tuple[str, Result, bool]] = []

    def __enter__(self) -> "_Demo":
        self._stack = ExitStack()
        mqtt = self._settings.settings.mqtt
        self._monitor = self._stack.enter_context(Monitor(mqtt.host, mqtt.port, f"{mqtt.prefix}/#"))
        bus = EventBus()
        client = Client(mqtt, self._settings.settings.panel.id, bus)
        self._stack.callback(client.close)
        client.start()
        store = Store(self._settings.state_folder)
        self._stack.callback(store.close)
        outbox = Outbox(self._settings.state_folder)
        self._stack.callback(outbox.close)
        self._panel = Panel(self._settings, bus, store, client, outbox)
        self._stack.callback(self._panel.close)
        english = templates.load(self._settings.language_folder, "en")
        self._renderer = Renderer(english, templates.load(self._settings.language_folder, "ko"))
        began = time.monotonic()
        with self._console.status("loading the models"):
            self._panel.open_ears(ModelStore(self._settings.models_folder))
            self._monitor.wait_for(client.topics.availability, "online")
            for assistant in ("alexa", "google"):
                self._monitor.wait_for(f"{mqtt.prefix}/bridges/{assistant}/availability", "online")
        self._console.print(f"models loaded in {time.monotonic() - began:.1f} s\n")
        for kind in (Wake, TranscriptReady, IntentReady, ReplyReady):
            bus.subscribe(kind, self._tell)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, label: dict[str, Any]) -> bool:
        """Let the panel hear a recording; say whether it did what the label says."""
        self._console.rule(f"[bold]{label['file']}[/]", align="left", style="dim")
        self._monitor.clear()
        results: list[Result] = []
        with FileSource(AUDIO / label["file"], realtime=not self._fast, tail=4.0) as source:
            # As soon as the panel has answered, the rest of the silence is of no interest.
            stop = threading.Event()

            def take(result: Result) -> None:
                results.append(result)
                stop.set()

            if label["wake_word"] is None:  # an answer, or somebody has woken the panel
                self._panel.listen(0.0)
            self._panel.run(source, stop, take)
        self._panel.forget()
        if not results:
            self._console.print("  [red]no wake word was heard[/]")
            results.append(Result(text="", confidence=0.0, decision="rejected"))
        result = results[0]
        good = len(results) == 1 and _as_labelled(result, label)
        self._tell_result(result, label, good)
        if not self._panel.wait(REPLY):
            self._console.print("  [red]no reply came[/]")
            good = False
        self._rows.append((label["file"], result, good))
        return good

    def prepare_outage(self) -> None:
        """Switch the TV off, as Home Assistant would: while it plays, the panel takes no orders."""
        panel = self._settings.settings.panel.id
        prefix = self._settings.settings.mqtt.prefix
        self._monitor.publish(f"{prefix}/{panel}/set/tv/power", "off")
        self._monitor.clear()
        deadline = time.monotonic() + 5
        while self._panel.appliances["tv"].get("power") == "on" and time.monotonic() < deadline:
            self._panel.attend()
            time.sleep(0.02)

    def _tell(self, event: Event) -> None:
        match event:
            case ReplyReady():
                self._line(event.assistant, f"“{escape(event.speech)}”")
            case Wake():
                self._line("wake word", f"{event.wake_word} [dim]({event.score:.2f})[/]")
            case TranscriptReady():
                self._line("transcript", f"[bold]{escape(event.text)}[/]")
            case IntentReady():
                slots = json.dumps(dict(event.slots), ensure_ascii=False)
                self._line("intent", f"[cyan]{event.intent}[/] {escape(slots)}")
                english = self._renderer.render(Intent(event.intent, event.slots))
                self._line("in English", f"[italic]{escape(english)}[/]")

    def _tell_result(self, result: Result, label: dict[str, Any], good: bool) -> None:
        colour = {"local": "green", "away": "blue", "rejected": "red"}[result.decision]
        whom = f" → {result.assistant} ({result.kind})" if result.decision == "away" else ""
        self._line("decision", f"[{colour}]{result.decision}[/]{whom}")
        if result.speech:
            self._line("says", f"“{escape(result.speech)}”")
        for message in self._published(result):
            payload = message.text if len(message.text) < 300 else message.text[:297] + "..."
            self._line("MQTT", f"[dim]{message.topic}[/] {escape(payload)}")
        if not good:
            wanted = {name: label[name] for name in ("text", "intent", "slots")}
            self._line("[red]wrong[/]", escape(json.dumps(wanted, ensure_ascii=False)))

    def _published(self, result: Result) -> list[Received]:
        """What went out: states and requests. Events are what is printed above."""
        if result.decision == "away":
            self._monitor.wait(lambda message: "/request/" in message.topic)
        else:
            time.sleep(SETTLE)
        return [m for m in self._monitor.messages if "/state/" in m.topic or "/request/" in m.topic]

    def _line(self, what: str, text: str) -> None:
        self._console.print(f"  {what:>10}  {text}")

    def summarise(self) -> None:
        """A table of all, and the latencies."""
        table = Table("recording", "intent", "decision", "last word to action, s", "", box=None)
        for file, result, good in self._rows:
            whom = (
                f"{result.decision} → {result.assistant}" if result.assistant else result.decision
            )
            latency = f"{result.timings['action']:.2f}" if result.timings else ""
            mark = "[green]as labelled[/]" if good else "[red]wrong[/]"
            table.add_row(Path(file).stem, result.intent or "-", whom, latency, mark)
        self._console.print()
        self._console.print(table)
        latencies = sorted(r.timings["action"] for _, r, _ in self._rows if r.timings)
        right = sum(good for *_, good in self._rows)
        self._console.print(f"{right} of {len(self._rows)} as labelled", style="bold")
        if latencies and not self._fast:
            self._console.print(
                f"last word to action: median {statistics.median(latencies):.2f} s, "
                f"longest {latencies[-1]:.2f} s"
            )


def _as_labelled(result: Result, label: dict[str, Any]) -> bool:
    """Whether a result is what its label says."""
    if result.wake_word != label["wake_word"]:
        return False
    if label["intent"] is None:
        return result.intent is None and result.decision == "away"
    if label["intent"] == "Yes":
        return result.intent == "Yes" and result.decision == "away"
    # Free text is never written exactly as it was meant; half of its letters must be right.
    said, meant = (str(slots.get("text", "")) for slots in (result.slots, label["slots"]))
    if difflib.SequenceMatcher(None, said, meant).ratio() < 0.5:
        return False
    slots = {k: v for k, v in result.slots.items() if k != "text"}
    wanted = {k: v for k, v in label["slots"].items() if k != "text"}
    return result.intent == label["intent"] and slots == wanted and result.decision != "rejected"


if __name__ == "__main__":
    sys.exit(main())
