"""Measures ways to recognise side by side: accuracy, false accepts, and what they cost."""

import functools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from bench.corpus import NOISES, TESTS, Recording, commands, frames, korean, own
from soripan import config
from soripan.asr.graph import build
from soripan.asr.lexicon import Lexicon
from soripan.asr.models import ModelStore
from soripan.asr.profiles import PROFILES
from soripan.asr.recogniser import Recogniser, Transcript
from soripan.audio.denoise import NoiseSuppressor
from soripan.audio.files import FileSource
from soripan.audio.frame import FRAME_SECONDS, SAMPLE_RATE, Frame, Samples
from soripan.config import Config
from soripan.decide import Result
from soripan.dialog.session import Session
from soripan.dialog.understand import is_complete, understand
from soripan.ears import build_graph, stock_model
from soripan.events import EventBus
from soripan.nlu import templates
from soripan.nlu.grammar import compile_grammar
from soripan.nlu.intents import ANSWERS, Intent
from soripan.nlu.parser import Parser
from soripan.nlu.text import normalise
from soripan.panel import Panel

Row = dict[str, Any]


class RuntimeGrammar(Recogniser):
    """Stock Vosk, held to the words of a list of phrases at run time."""

    def __init__(self, model: Path, alternatives: int, phrases: Iterable[str]) -> None:
        super().__init__(model, alternatives)
        lexicon = Lexicon(self.find_word)
        spelled = [_spell(phrase, lexicon) for phrase in phrases]
        self._phrases = json.dumps([*filter(None, spelled), "<UNK>"], ensure_ascii=False)
        self.start()

    def start(self) -> None:
        """Begin with a clean slate."""
        super().start()
        if hasattr(self, "_phrases"):
            self._recogniser.SetGrammar(self._phrases)


class Way:
    """A way to recognise, with everything that is needed to judge it."""

    def __init__(self, name: str, shared: Path) -> None:
        self._shared = shared
        graph = name if name in PROFILES else "stock"
        self._config = with_graph(config.load(TESTS.parent / "config/panel.toml"), graph)
        language = self._config.settings.panel.language
        loaded = templates.load(self._config.language_folder, language)
        grammar = compile_grammar(loaded)
        self._parser = Parser(grammar)
        models = ModelStore(self._config.models_folder)
        model = build_graph(self._config, models, loaded, grammar, _tell)
        folder = self.folder = model or stock_model(self._config, models)
        self._settings = self._config.settings.asr
        alternatives = self._settings.alternatives
        self._ours = name in PROFILES
        began = time.monotonic()
        if name == "grammar":
            self._recogniser: Recogniser = RuntimeGrammar(folder, alternatives, _sentences())
        else:
            self._recogniser = Recogniser(folder, alternatives)
        self.load = time.monotonic() - began
        self._cpu = self._sound = 0.0

    @property
    def rtf(self) -> float:
        """CPU seconds per second of sound, of all that was recognised so far."""
        return self._cpu / self._sound

    def first(self, sound: Samples) -> Transcript:
        """What is understood of the first utterance: as the panel does, or as stock Vosk does."""
        if not self._ours:
            return next(iter(self._utterances(sound)), Transcript(()))
        suppressor = NoiseSuppressor(self._settings.noise_suppression)
        began = time.process_time()
        settled = functools.partial(is_complete, parser=self._parser)
        none = np.zeros(0, np.int16)
        session = Session(self._recogniser, self._settings, None, none, 0.0, settled)
        utterance = None
        for frame in frames(sound):
            self._sound += FRAME_SECONDS
            utterance = session.feed(Frame(suppressor.process(frame.samples), frame.start))
            if utterance is not None:
                break
        utterance = utterance or session.finish(sound.size / SAMPLE_RATE)
        self._cpu += time.process_time() - began
        return utterance.transcript

    def all(self, sound: Samples) -> list[Transcript]:
        """What is understood of a whole recording."""
        return list(self._utterances(sound))

    def right(self, recording: Recording, snr: float | None) -> bool:
        """Whether intent and every slot of a command are right."""
        intent = self.intent(self.first(recording.sound(self._shared, snr)))
        return intent is not None and _same(intent, recording)

    def accepts(self, recording: Recording) -> bool:
        """Whether a sentence that is no command is taken for one that does something. An answer,
        where nothing was asked, does nothing."""
        intent = self.intent(self.first(recording.sound(self._shared)))
        return intent is not None and intent.name not in ANSWERS

    def intent(self, transcript: Transcript) -> Intent | None:
        """What the panel would do."""
        margin = self._settings.margin
        return understand(transcript, self._parser, margin).intent

    def _utterances(self, sound: Samples) -> Iterable[Transcript]:
        self._recogniser.start()
        suppressor = NoiseSuppressor(self._settings.noise_suppression if self._ours else 0)
        began = time.process_time()
        for frame in frames(sound):
            transcript = self._recogniser.accept(suppressor.process(frame.samples))
            self._sound += FRAME_SECONDS
            if transcript is not None and transcript.alternatives:
                self._cpu += time.process_time() - began
                yield transcript
                began = time.process_time()
        last = self._recogniser.finish()
        self._cpu += time.process_time() - began
        if last.alternatives:
            yield last


def measure(name: str, shared: Path) -> Row:
    """All numbers of a way, for a process of its own."""
    way = Way(name, shared)
    row: Row = {}
    spoken = commands()
    for noise, snr in NOISES.items():
        if snr is None or (shared / "noise").is_dir():
            row[f"commands right, {noise}"] = _share([way.right(each, snr) for each in spoken])
    row["false accepts, own other sentences"] = _share([way.accepts(r) for r in own("other")])
    if (shared / "korean").is_dir():
        people = korean(shared)
        row["false accepts, people"] = _share([way.accepts(each) for each in people])
        row["CER, people"] = round(_error_rate(way, people, shared), 3)
    row["CPU seconds per second of sound"] = round(way.rtf, 3)
    row["load, s"] = round(way.load, 2)
    row["memory, whole process, MB"] = _memory()
    row["memory, recogniser alone, MB"] = alone(way.folder, shared)
    return row


def alone(model: Path, shared: Path) -> int:
    """Most memory of a process that has nothing but the recogniser in it, MB."""
    files = [each.path for each in (korean(shared) if (shared / "korean").is_dir() else commands())]
    script = Path(__file__).with_name("memory.py")
    done = subprocess.run(
        [sys.executable, str(script), str(model), *map(str, files)],
        stdout=subprocess.PIPE,
        check=True,
    )
    return int(done.stdout)


def building(name: str, _shared: Path) -> Row:
    """Time and memory of building a graph."""
    settings = config.load(TESTS.parent / "config/panel.toml")
    loaded = templates.load(settings.language_folder, settings.settings.panel.language)
    model = stock_model(settings, ModelStore(settings.models_folder))
    with tempfile.TemporaryDirectory(prefix="soripan-bench-") as folder, _Together() as memory:
        target = Path(folder) / "graph"
        began = time.monotonic()
        build(model, compile_grammar(loaded), PROFILES[name], target, _tell, lambda _: None)
        took = time.monotonic() - began
        size = (target / "graph/HCLG.fst").stat().st_size / 1e6
    return {
        "build, s": round(took, 1),
        "build, memory, MB": memory.most,
        "graph, MB": round(size, 1),
    }


def latency(name: str, _shared: Path) -> Row:
    """Seconds from the end of the last word to the action, with sound that comes in real time."""
    settings = with_graph(config.load(TESTS.parent / "config/panel.toml"), name)
    panel = Panel(settings, EventBus(), None, None)
    panel.open_ears(ModelStore(settings.models_folder), _tell)
    seconds: list[float] = []
    for recording in commands():
        results: list[Result] = []
        with FileSource(recording.path, True, tail=3.0) as source:
            panel.listen(0.0)
            panel.run(source, threading.Event(), results.append)
        panel.forget()
        result = results[0]
        if result.intent is None or recording.speech_end == 0.0:
            continue
        acted = result.timings["speech_end"] + result.timings["action"] - recording.speech_end
        seconds.append(acted)
    return {
        "last word to action, s, p50": round(statistics.median(seconds), 2),
        "last word to action, s, p95": round(statistics.quantiles(seconds, n=20)[-1], 2),
        "last word to action, commands": len(seconds),
    }


def with_graph(settings: Config, graph: str) -> Config:
    """The config with another listening graph."""
    replace = msgspec.structs.replace
    asr = replace(settings.settings.asr, graph=graph)
    return replace(settings, settings=replace(settings.settings, asr=asr))


class _Together:
    """Watches how much memory this process and its children have together."""

    def __enter__(self) -> "_Together":
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = Path("/proc/self")
        while not self._stop.wait(0.05):
            children = (me / f"task/{me.resolve().name}/children").read_text().split()
            pages = sum(_pages(Path("/proc") / each) for each in ["self", *children])
            self.most = max(self.most, round(pages * 4096 / 1e6))


def _pages(process: Path) -> int:
    try:
        return int((process / "statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended meanwhile


def _memory() -> int:
    """Most memory that this process has had, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000)


def _share(good: list[bool]) -> str:
    return f"{sum(good)} of {len(good)} ({100 * sum(good) / len(good):.1f} %)"


def _same(intent: Intent, recording: Recording) -> bool:
    def exact(slots: Row | None) -> Row:
        # The free text of a question need not be letter by letter.
        return {name: value for name, value in (slots or {}).items() if name != "text"}

    return intent.name == recording.intent and exact(dict(intent.slots)) == exact(recording.slots)


def _error_rate(way: Way, recordings: list[Recording], shared: Path) -> float:
    """Character error rate without spaces and signs."""
    wrong = letters = 0
    for recording in recordings:
        heard = " ".join(each.text for each in way.all(recording.sound(shared)))
        said = _letters(recording.text)
        wrong += _distance(said, _letters(heard))
        letters += len(said)
    return wrong / letters


def _letters(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def _distance(one: str, other: str) -> int:
    """How many letters must be inserted, left out or changed."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, row = row, [i]
        for j, wanted in enumerate(other, 1):
            change = before[j - 1] + (letter != wanted)
            row.append(min(before[j] + 1, row[-1] + 1, change))
    return row[-1]


def _sentences() -> list[str]:
    """Sentences for the runtime grammar: all that the tests know, and those that are spoken."""
    texts = [each.text for each in own("commands")]
    for path in sorted((TESTS / "nlu/fixtures/ko").glob("*.yaml")):
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            if test["intent"] is not None:
                texts += [str(text) for text in test["sentences"]]
    return texts


def _spell(phrase: str, lexicon: Lexicon) -> str | None:
    """A phrase in words that the model knows; None if it cannot be."""
    words = []
    for word in normalise(phrase).split():
        if lexicon.id(word) is not None:
            words.append(word)
        else:
            parts = _parts(word, lexicon)
            if parts is None:
                return None
            words += parts
    return " ".join(words)


def _parts(word: str, lexicon: Lexicon) -> list[str] | None:
    """The longest known beginning, and so on."""
    parts = []
    while word:
        end = next((n for n in range(len(word), 0, -1) if lexicon.id(word[:n]) is not None), 0)
        if not end:
            return None
        parts.append(word[:end])
        word = word[end:]
    return parts


def _tell(step: str) -> None:
    print(step, file=sys.stderr)


MEASUREMENTS: dict[str, Callable[[str, Path], Row]] = {
    "recognition": measure,
    "building": building,
    "latency": latency,
}
