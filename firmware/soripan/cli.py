"""The command line."""

import argparse
import contextlib
import functools
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import sdnotify
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Column, Table

from soripan import __version__, config, doctor, ears, mute
from soripan.asr.explain import Explanation, explain
from soripan.asr.models import ModelStore, fetch_all
from soripan.asr.profiles import PROFILES
from soripan.audio.files import FileSource
from soripan.audio.microphone import MicrophoneSource
from soripan.bridges import command as bridge_command
from soripan.config import Config
from soripan.decide import Result
from soripan.dialog.router import PANEL
from soripan.events import Error, EventBus, ReplyReady, RequestMade
from soripan.exc import BrokerError, ModelError, RefusedError, SoripanError
from soripan.lock import exclusive
from soripan.mouth import open_mouth
from soripan.mqtt import outbox
from soripan.mqtt.client import Client
from soripan.mqtt.connection import probe
from soripan.mqtt.outbox import Outbox
from soripan.nlu import templates
from soripan.nlu.grammar import compile_grammar
from soripan.nlu.parser import Parse, Parser
from soripan.panel import Panel
from soripan.store import Store

log = logging.getLogger(__name__)

SHOWN: Final = 5
"""Spellings that `graph explain` prints at most."""

SETTLE: Final = 0.3
"""Seconds after that in which the broker says which bridges are there."""

CONNECT: Final = 5.0
"""Seconds that `listen` and `say` give the broker to answer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    terminal = sys.stderr.isatty()
    rich = RichHandler(console=Console(stderr=True), show_path=False)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(message)s" if terminal else "%(levelname)s: %(name)s: %(message)s",
        handlers=[rich if terminal else logging.StreamHandler()],
    )
    try:
        status: int = options.command(options)
    except SoripanError as error:
        print(f"soripan: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; Python would complain about the flush.
        sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115
        return 128 + signal.SIGPIPE
    return status


# Commands


def _run(options: argparse.Namespace) -> int:
    settings = config.load(options.config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    notifier = sdnotify.SystemdNotifier()
    with _panel(settings, alone=False, wait=False) as (panel, bus):
        panel.open_ears(ModelStore(settings.models_folder), _progress)
        audio = settings.settings.audio
        microphone = MicrophoneSource(audio.device, audio.queue, bus)
        driver = mute.open_driver(settings.settings.gpio)
        switch = mute.MuteSwitch(driver, bus, microphone) if driver is not None else None
        if switch is not None:
            switch.poll()  # before the microphone opens, so that it never hears while it is off
        if not options.json:
            _tell_replies(bus)
        with microphone, open_mouth(settings, bus) as voice:
            panel.voice = voice
            notifier.notify("READY=1")
            names = ", ".join(word.model for word in settings.settings.wake.words)
            print(f"soripan: listening for {names}", flush=True)

            def beat() -> None:
                notifier.notify("WATCHDOG=1")
                if switch is not None:
                    switch.poll()

            panel.run(microphone, stop, lambda result: _show(result, None, options.json), beat)
        notifier.notify("STOPPING=1")
    return 0


def _listen(options: argparse.Namespace) -> int:
    settings = config.load(options.config)
    sources = [FileSource(path, options.realtime, tail=_tail(settings)) for path in options.files]
    for source in sources:
        with source:  # all of them, so that a bad one is told before anything is done
            pass
    with _panel(settings, options.no_mqtt, wait=True) as (panel, bus):
        if not options.json:
            _tell_replies(bus)
        panel.open_ears(ModelStore(settings.models_folder), _progress)
        for source in sources:
            show = functools.partial(_show, path=source.path, as_json=options.json)
            last = source is sources[-1]
            if not _take_in(panel, source, options.no_wake or panel.asking, last, show):
                show(_nothing_heard())
            panel.forget()
        panel.wait(settings.settings.router.expiry)
    return 0


def _take_in(
    panel: Panel, source: FileSource, at_once: bool, last: bool, show: Callable[[Result], None]
) -> int:
    """Show what comes of a recording, and return how many utterances were in it. The answer to a
    question may be in the next one."""
    stop = threading.Event()
    count = 0

    def take(result: Result) -> None:
        nonlocal count
        count += 1
        show(result)
        if result.asks and not last:
            stop.set()

    with source:
        if at_once:
            panel.listen(0.0)
        panel.run(source, stop, take)
    return count


def _say(options: argparse.Namespace) -> int:
    settings = config.load(options.config)
    with _panel(settings, options.no_mqtt, wait=True) as (panel, bus):
        if not options.json:
            _tell_replies(bus)
        for text in (" ".join(options.text), *options.then):
            _show(panel.say(text, options.assistant), None, options.json)
        panel.wait(settings.settings.router.expiry)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    return doctor.examine(options.config, Console())


def _models_list(options: argparse.Namespace) -> int:
    store = _store(options)
    installed = set(store.installed())
    # Names are there to be copied, so a narrow terminal must not cut them.
    name_column = Column("model", no_wrap=True, min_width=max(map(len, store.registry.models)))
    table = Table(name_column, "kind", "language", "MB", "licence", "here", box=None)
    for name, model in store.registry.models.items():
        size = f"{model.bytes / 1e6:.1f}"
        here = "yes" if name in installed else "no"
        table.add_row(name, model.kind, model.language or "", size, model.licence, here)
    console = Console()
    console.print(table)
    console.print(f"in {store.folder}", soft_wrap=True, highlight=False)
    return 0


def _models_fetch(options: argparse.Namespace) -> int:
    store = _store(options)
    names = options.names or _registered(store, options.config)
    fetch_all(names, store, Console())
    print(f"{len(names)} models are in {store.folder}")
    return 0


def _models_verify(options: argparse.Namespace) -> int:
    store = _store(options)
    names = options.names or store.installed()
    for name in names:
        store.verify(name)
        print(f"{name}: good")
    if not names:
        print(f"no models in {store.folder} (fetch them with `soripan models fetch`)")
    return 0


def _graph_build(options: argparse.Namespace) -> int:
    settings = _with_graph(config.load(options.config), options.profile)
    loaded = templates.load(settings.language_folder, settings.settings.panel.language)
    models = ModelStore(settings.models_folder)
    grammar = compile_grammar(loaded)
    there = ears.built_graph(settings, models, grammar)
    began = time.monotonic()
    folder = ears.build_graph(settings, models, loaded, grammar, _progress)
    if settings.settings.wake.engine == "phrase":
        ears.build_phrases(settings, models, _progress)
    if folder is None:
        print('[asr] graph is "stock": there is none to build')
        return 0
    took = f"built in {time.monotonic() - began:.0f} s" if there is None else "is up to date"
    size = (folder / "graph/HCLG.fst").stat().st_size / 1e6
    print(f"{folder}: {took}, {size:.0f} MB")
    return 0


def _graph_explain(options: argparse.Namespace) -> int:
    settings = _with_graph(config.load(options.config), options.profile)
    loaded = templates.load(settings.language_folder, settings.settings.panel.language)
    grammar = compile_grammar(loaded)
    models = ModelStore(settings.models_folder)
    folder = ears.build_graph(settings, models, loaded, grammar, _progress)
    if folder is None:
        raise ModelError('[asr] graph is "stock": there is nothing to explain (name a --profile)')
    sentence = " ".join(options.text)
    _print_explanation(explain(folder, sentence), Parser(grammar).parse(sentence))
    return 0


def _with_graph(settings: Config, profile: str | None) -> Config:
    """The config with the profile that the command line names."""
    if profile is None:
        return settings
    asr = msgspec.structs.replace(settings.settings.asr, graph=profile)
    replaced = msgspec.structs.replace(settings.settings, asr=asr)
    return msgspec.structs.replace(settings, settings=replaced)


def _outbox_list(options: argparse.Namespace) -> int:
    entries, _ = outbox.read(config.load(options.config).state_folder)
    if options.json:
        for entry in entries:
            print(msgspec.json.encode(entry).decode())
        return 0
    if not entries:
        print("nothing is under way")
        return 0
    table = Table(Column("key", no_wrap=True), "since", "kind", "to", "text", box=None)
    for entry in entries:
        request = entry.request
        since = f"{request.at.astimezone():%m-%d %H:%M:%S}"
        to = request.assistant if entry.assigned else f"({', '.join(entry.candidates)})"
        table.add_row(entry.key[:8], since, request.kind, to, escape(request.text))
    Console().print(table)
    return 0


def _outbox_remove(options: argparse.Namespace) -> int:
    folder = config.load(options.config).state_folder
    keys = outbox.remove(folder, _keys(folder, options.keys))
    print(f"{len(keys)} removed")
    return 0


def _outbox_retry(options: argparse.Namespace) -> int:
    folder = config.load(options.config).state_folder
    keys = outbox.retry(folder, _keys(folder, options.keys), options.assistant)
    print(f"{len(keys)} will be sent again, as soon as the panel runs and somebody is there")
    return 0


def _keys(folder: Path, beginnings: Sequence[str]) -> list[str]:
    """The keys of the requests that are meant; each by the beginning of its key, or ``all``."""
    keys = [entry.key for entry in outbox.read(folder)[0]]
    if list(beginnings) == ["all"]:
        return keys
    chosen = []
    for beginning in beginnings:
        fitting = [key for key in keys if key.startswith(beginning)]
        if len(fitting) != 1:
            found = "several requests are" if fitting else "no request is"
            raise RefusedError(f"{found} called {beginning} (see: soripan outbox list)", "outbox")
        chosen += fitting
    return chosen


def _bridge(options: argparse.Namespace) -> int:
    return bridge_command.run(
        options.name, options.config or bridge_command.default_file(options.name), options.instance
    )


def _store(options: argparse.Namespace) -> ModelStore:
    return ModelStore(config.load(options.config).models_folder)


def _registered(store: ModelStore, path: Path) -> list[str]:
    """The models the config needs, without files that the user brought."""
    return [name for name in ears.models_needed(config.load(path)) if name in store.registry.models]


@contextlib.contextmanager
def _panel(settings: Config, alone: bool, wait: bool) -> Iterator[tuple[Panel, EventBus]]:
    """A panel, and the bus on which it tells what it does.

    Args:
        settings: its config.
        alone: without broker and without state, so that nothing it does has consequences.
        wait: for the broker; else it may come later.

    Raises:
        BrokerError: there is none, and ``wait`` was set.
        BusyError: another process works with the same state.
    """
    bus = EventBus()
    with contextlib.ExitStack() as stack:
        store = requests = client = None
        if not alone:
            stack.enter_context(exclusive(settings.state_folder))
            store = Store(settings.state_folder)
            stack.callback(store.close)
            requests = Outbox(settings.state_folder)
            stack.callback(requests.close)
            client = Client(settings.settings.mqtt, settings.settings.panel.id, bus)
            stack.callback(client.close)
            client.start()
            if wait:
                _wait_for(client, settings)
        panel = Panel(settings, bus, store, client, requests)
        stack.callback(panel.close)
        yield panel, bus


def _wait_for(client: Client, settings: Config) -> None:
    deadline = time.monotonic() + CONNECT
    while not client.connected and time.monotonic() < deadline:
        time.sleep(0.02)
    if not client.connected:
        client.close()
        try:
            probe(settings.settings.mqtt, timeout=1.0)
        except BrokerError as error:
            raise BrokerError(f"{error}; --no-mqtt does without") from None
        raise BrokerError("the broker did not answer in time; --no-mqtt does without")
    time.sleep(SETTLE)


def _tail(settings: Config) -> float:
    """Seconds of silence after a recording in which every session comes to its end."""
    return max(settings.settings.asr.no_speech, settings.settings.shopping.answer) + 1.0


def _nothing_heard() -> Result:
    return Result(text="", confidence=0.0, decision="rejected")


# What is printed


def _progress(step: str) -> None:
    print(f"soripan: {step} ...", file=sys.stderr, flush=True)


def _show(result: Result, path: Path | None, as_json: bool) -> None:
    fields: dict[str, Any] = {"file": str(path) if path is not None else None}
    fields |= msgspec.to_builtins(result)
    if as_json:
        print(json.dumps(fields, ensure_ascii=False), flush=True)
        return
    head = f"{path}: " if path is not None else ""
    if not result.text:
        what = "nothing was said" if result.wake_word else "no wake word was heard"
        print(f"{head}{what}", flush=True)
        return
    intent = _meaning(result.intent, result.slots)
    to = f" to {result.assistant} ({result.kind})" if result.decision == "away" else ""
    print(f"{head}{result.text} | {intent} | {result.decision}{to} | {result.speech}", flush=True)


def _tell_replies(bus: EventBus) -> None:
    """Print what assistants answer, when they do, and what became of requests without answer."""
    made: set[str | None] = set()

    def tell(event: Error) -> None:
        # What became of a request at once is in its result.
        if event.code in ("expired", "nobody", "waiting") and event.session in made:
            print(f"{event.code} | {event.speech}", flush=True)

    bus.subscribe(
        ReplyReady, lambda e: print(f"{e.assistant} ({e.status}) | {e.speech}", flush=True)
    )
    bus.subscribe(RequestMade, lambda event: made.add(event.session))
    bus.subscribe(Error, tell)


def _print_explanation(explanation: Explanation, parse: Parse | None) -> None:
    for word, ways in explanation.spelled:
        print(f"{word}: {' | '.join(ways) or 'cannot be put together from words of the graph'}")
    if explanation.near:
        print(f"words of the graph that look like it: {', '.join(explanation.near)}")
    if parse is None:
        print("meaning: no sentence template has it, so it is nothing but open speech")
    else:
        print(f"meaning: {_meaning(parse.intent.name, parse.intent.slots)}")
    shown = explanation.commands[:SHOWN]
    for way in shown:
        print(f"command: {way}")
    if len(explanation.commands) > len(shown):
        print(f"command: and {len(explanation.commands) - len(shown)} more ways")
    if not shown:
        print("command: no, the graph has it only as open speech")


def _meaning(intent: str | None, slots: Mapping[str, Any]) -> str:
    values = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in slots.items())
    return " ".join([intent or "no intent", *values])


# The command line itself


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="soripan",
        description="The voice of a fridge or a TV, on the device itself.",
        epilog="Exit status: 0 all went well; 2 wrong command line; else as in sysexits.h: 65 and "
        "66 what was given cannot be read, 69 something that is needed is not there, 75 another "
        "soripan is at work, 78 the config or a sentence template is wrong.",
    )
    parser.add_argument("--version", action="version", version=f"soripan {__version__}")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say on standard error what goes on inside"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="be the panel: listen to the microphone",
        description="Listens to the microphone until stopped by a signal. A broker that is not "
        "there is waited for; everything local works meanwhile.",
    )
    run.set_defaults(command=_run)

    listen = commands.add_parser(
        "listen",
        help="take recordings instead of the microphone",
        description="Takes recordings as if they came from the microphone, and does what is said "
        "in them. Any format, rate and number of channels that libsndfile reads.",
    )
    listen.add_argument("files", nargs="+", type=Path, metavar="FILE", help="WAV, FLAC, OGG ...")
    listen.add_argument(
        "--no-wake",
        action="store_true",
        help="take each file as a command that follows the wake word",
    )
    listen.add_argument(
        "--realtime", action="store_true", help="as slowly as it was spoken, not as fast as it goes"
    )
    listen.set_defaults(command=_listen)

    say = commands.add_parser(
        "say",
        help="take a text instead of speech",
        description="Takes a text as if it had been said after the wake word, and does what it "
        'says. Example: soripan say "냉장고 온도 삼 도로 맞춰 줘"',
    )
    say.add_argument("text", nargs="+", metavar="TEXT", help="what is said")
    say.add_argument(
        "--then",
        action="append",
        default=[],
        metavar="TEXT",
        help="what is said next, such as the answer to a question; may be given several times",
    )
    say.add_argument(
        "--assistant",
        default=PANEL,
        metavar="NAME",
        help="whom the wake word addresses (default: %(default)s, the panel itself)",
    )
    say.set_defaults(command=_say)

    examine = commands.add_parser(
        "doctor",
        help="check models, sound, broker and pins",
        description="Checks everything a panel needs and says how to mend what is not right. Exit "
        "status: 0 if all is well, 1 if not.",
    )
    examine.set_defaults(command=_doctor)

    models = commands.add_parser(
        "models", help="list, fetch and verify models", description="The models of soripan."
    )
    actions = models.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, command, text in (
        ("list", _models_list, "list the models soripan knows, with licence and size"),
        ("fetch", _models_fetch, "fetch models; without a name, those the config needs"),
        ("verify", _models_verify, "compare models with their SHA-256; without a name, all"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        if name != "list":
            action.add_argument("names", nargs="*", metavar="NAME", help="as `models list` has it")
        action.set_defaults(command=command)
        _add_config(action)

    graph = commands.add_parser(
        "graph",
        help="build and explain the listening graph",
        description="The graph that the recogniser searches: all commands, and open speech.",
    )
    actions = graph.add_subparsers(title="actions", required=True, metavar="ACTION")
    build = actions.add_parser(
        "build",
        help="build it now, not at the next start",
        description="Builds the listening graph from the sentence templates and the model, if that "
        "was not done since one of them changed.",
    )
    build.set_defaults(command=_graph_build)
    explained = actions.add_parser(
        "explain",
        help="how a sentence is spelled, and whether it is a command",
        description="Shows how a sentence is put together from the words that the recogniser "
        "knows, what it means, and with which spellings the graph accepts it as a command. "
        'Example: soripan graph explain "냉장고 온도 삼 도로 맞춰 줘"',
    )
    explained.add_argument("text", nargs="+", metavar="SENTENCE", help="as people write it")
    explained.set_defaults(command=_graph_explain)
    for each in (build, explained):
        each.add_argument(
            "--profile", choices=PROFILES, help="of this size, not what [asr] graph says"
        )
        _add_config(each)

    _add_bridge(commands)
    _add_outbox(commands)

    for each in (run, listen, say):
        each.add_argument("--json", action="store_true", help="print one JSON object per utterance")
    for each in (listen, say):
        each.add_argument(
            "--no-mqtt",
            action="store_true",
            help="stay alone: no broker, no saved state, and no harm to a panel that is running",
        )
    for each in (run, listen, say, examine):
        _add_config(each)
    return parser


def _add_bridge(commands: Any) -> None:
    bridge = commands.add_parser(
        "bridge",
        help="be the bridge to an assistant",
        description="Takes the requests of all panels to one assistant, and brings its replies, "
        "until stopped by a signal. Several processes of a bridge share the work, if each has an "
        "--instance of its own.",
    )
    bridge.add_argument("name", choices=bridge_command.BRIDGES, metavar="NAME", help="%(choices)s")
    bridge.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="its settings (default: bridges/NAME.toml beside panel.toml)",
    )
    bridge.add_argument(
        "--instance", default="1", help="name of this process among those (default: %(default)s)"
    )
    bridge.set_defaults(command=_bridge)


def _add_outbox(commands: Any) -> None:
    requests = commands.add_parser(
        "outbox",
        help="list, retry and remove requests that are under way",
        description="The requests that no assistant has answered yet, also beside a panel that is "
        "running. A request is named by its key, or as much of it as `outbox list` shows.",
    )
    actions = requests.add_subparsers(title="actions", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="list them", description="Lists them, oldest first.")
    listed.add_argument("--json", action="store_true", help="print one JSON object for each")
    listed.set_defaults(command=_outbox_list)
    retried = actions.add_parser(
        "retry",
        help="have them sent again at once",
        description="Has requests sent again at once. With --assistant, somebody else is asked, "
        "even if the one before may have done it already: then it may be done twice.",
    )
    retried.add_argument("--assistant", metavar="NAME", help="whom to ask instead")
    retried.set_defaults(command=_outbox_retry)
    removed = actions.add_parser(
        "remove",
        help="give them up",
        description="Gives requests up. What an assistant has already got it may still do.",
    )
    removed.set_defaults(command=_outbox_remove)
    for each in (retried, removed):
        each.add_argument("keys", nargs="+", metavar="KEY", help="of a request, or: all")
    for each in (listed, retried, removed):
        _add_config(each)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=config.default_config_file(),
        metavar="FILE",
        help="the panel's settings (default: %(default)s)",
    )
