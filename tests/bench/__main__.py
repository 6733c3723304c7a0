"""Measures recognition and wake words on the project's own recordings: ``make bench``.

Writes a Markdown table to standard output, and everything as JSON beside it. Costs of the listening
graph were chosen on two of the five voices (:data:`TUNED_ON`); the table is of the other three.
Each way runs in a process of its own, so that its memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from soripan import config
from soripan.asr.listening import listening_model
from soripan.asr.models import ModelStore
from soripan.asr.recogniser import Recogniser, Transcript
from soripan.audio.files import FileSource
from soripan.audio.frame import FRAME_SAMPLES, SAMPLE_RATE
from soripan.nlu import templates
from soripan.nlu.grammar import compile_grammar
from soripan.nlu.parser import Parser
from soripan.panel import RECOGNISERS
from soripan.wake.openwakeword import FEATURE_MODELS, OpenWakeWordDetector

TESTS = Path(__file__).parents[1]
AUDIO = TESTS / "audio"
TUNED_ON = ("alpha", "kumo")
Row = dict[str, Any]


def main() -> int:
    """Run everything; return the exit status."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="default: bench.json")
    parser.add_argument("--only", choices=MEASUREMENTS, help="one of them, in this process")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(MEASUREMENTS[options.only](), ensure_ascii=False))
        return 0
    *rows, wake = (_alone(name) for name in MEASUREMENTS)
    print("| | stock Vosk, open vocabulary | listening graph |\n|---|---|---|")
    for name in rows[0]:
        print(f"| {name} | {rows[0][name]} | {rows[1][name]} |")
    print()
    for name, value in wake.items():
        print(f"- {name}: {value}")
    results = {"stock": rows[0], "full": rows[1], "wake": wake}
    options.json.write_text(json.dumps(results, ensure_ascii=False, indent=2), encoding="utf-8")
    return 0


def _alone(name: str) -> Row:
    """Measure in a fresh process."""
    command = [sys.executable, str(Path(__file__).parent), "--only", name]
    row: Row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return row


def recognition(way: str) -> Row:
    """How many commands a way of recognising gets right, and what it costs."""
    settings = config.load(TESTS.parent / "config/panel.toml")
    grammar = compile_grammar(templates.load(settings.language_folder, "ko"))
    parser = Parser(grammar)
    model = ModelStore(settings.models_folder).path(RECOGNISERS["ko"])
    if way == "full":
        folder = settings.graphs_folder
        model = listening_model(model, grammar, folder, lambda step: print(step, file=sys.stderr))
    before = _memory()
    began = time.monotonic()
    recogniser = Recogniser(model, settings.settings.asr.alternatives)
    load = time.monotonic() - began
    labels = _labels("commands", "other")
    right, taken, cpu, sound = [], [], 0.0, 0.0
    for label in labels:
        began = time.process_time()
        transcript, seconds = _transcribe(recogniser, AUDIO / label["file"])
        cpu += time.process_time() - began
        sound += seconds
        parses = (parser.parse(each.text) for each in transcript.alternatives)
        parse = next((parse for parse in parses if parse), None)
        if label["file"].startswith("other/"):
            taken.append(parse is not None)
        elif label["voice"] not in TUNED_ON:
            right.append(parse is not None and _same(parse.intent, label))
    return {
        "commands right (intent and every slot)": f"{sum(right)} of {len(right)}",
        "other sentences taken for a command": f"{sum(taken)} of {len(taken)}",
        "CPU seconds per second of sound": f"{cpu / sound:.3f}",
        "memory for the model, MB": f"{_memory() - before:.0f}",
        "load, s": f"{load:.1f}",
    }


def _transcribe(recogniser: Recogniser, path: Path) -> tuple[Transcript, float]:
    samples, _ = soundfile.read(path, dtype="int16")
    samples = np.concatenate([samples, np.zeros(2 * SAMPLE_RATE, np.int16)])
    recogniser.start()
    for start in range(0, len(samples), FRAME_SAMPLES):
        transcript = recogniser.accept(samples[start : start + FRAME_SAMPLES])
        if transcript is not None and transcript.alternatives:
            return transcript, start / SAMPLE_RATE
    return recogniser.finish(), len(samples) / SAMPLE_RATE


def _same(intent: Any, label: Row) -> bool:
    def slots(values: Row) -> Row:
        return {name: value for name, value in values.items() if name != "text"}

    return intent.name == label["intent"] and slots(intent.slots) == slots(label["slots"])


def wake_words() -> Row:
    """How many wake words are heard, in what else they are heard, and when."""
    settings = config.load(TESTS.parent / "config/panel.toml")
    models = ModelStore(settings.models_folder)
    words = settings.settings.wake.words
    detector = OpenWakeWordDetector(
        words, [models.path(w.model) for w in words], *(models.path(m) for m in FEATURE_MODELS)
    )
    heard, false, lags, seconds = [], 0, [], 0.0
    for label in _labels("wake", "demo", "commands", "other"):
        detector.reset()
        hits = []
        with FileSource(AUDIO / label["file"]) as source:
            while (frame := source.read(0.0)) is not None:
                if (hit := detector.process(frame)) is not None:
                    hits.append(hit)
                seconds += 0.0 if label["wake_word"] else FRAME_SAMPLES / SAMPLE_RATE
        if label["wake_word"] is None:
            false += len(hits)
            continue
        good = [hit for hit in hits if hit.name == label["wake_word"]]
        heard.append(bool(good))
        lags += [hit.at - label["wake_end"] for hit in good[:1]]
    low, middle, high = np.percentile(lags, [5, 50, 95])
    return {
        "wake words heard": f"{sum(heard)} of {len(heard)}",
        "false alarms in speech without one": f"{false} in {seconds / 60:.1f} minutes",
        "noticed after the end of the word, s (5 %, median, 95 %)": (
            f"{low:.2f}, {middle:.2f}, {high:.2f}"
        ),
    }


def _labels(*folders: str) -> list[Row]:
    labels = yaml.safe_load((AUDIO / "labels.yaml").read_text(encoding="utf-8"))
    return [label for label in labels if label["file"].split("/")[0] in folders]


def _memory() -> float:
    """Most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


MEASUREMENTS: dict[str, Callable[[], Row]] = {
    "stock": lambda: recognition("stock"),
    "full": lambda: recognition("full"),
    "wake": wake_words,
}

if __name__ == "__main__":
    sys.exit(main())
