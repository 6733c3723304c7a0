"""Measures wake-word detectors side by side, all on the word "alexa".

Needs recordings of people, which are not in the repository, and for the peers the packages
pymicro-wakeword and pyopen-wakeword; what is absent is left out and said so. Each detector runs in
a process and a thread of its own::

    PYTHONPATH=tests python -m bench.wake ../shared/audio
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.corpus import SHARED, TESTS, frames, own
from bench.noise import kitchen, mix, read, room
from soripan.asr.models import ModelStore
from soripan.audio.frame import SAMPLE_RATE, Frame, Samples
from soripan.config import WakeWordSettings, default_models_folder
from soripan.wake.detector import Trigger, WakeWord, WakeWordDetector
from soripan.wake.gate import EnergyGate
from soripan.wake.openwakeword import FEATURE_MODELS, OpenWakeWordDetector

PARTS = {"tuned on": 0, "held out": 2}
"""The gate's parameters were chosen on the recordings whose number divides by four; what is said of
the gate holds for the others. (All numbers are even, and neighbours are often one speaker.)"""
CONDITIONS = {"clean": None, "20 dB": 20.0, "10 dB": 10.0, "5 dB": 5.0}
"""Ratio of the speech to the noise of a kitchen; clean is a quiet room at -65 dB of full scale."""
BEFORE, AFTER = 2.0, 1.0
"""Seconds of the same noise around each word."""
BETWEEN = 0.5
"""Seconds of quiet between recordings that follow on each other."""
SPEECH_SHARE = 0.05
"""Of the time, where it is mostly silent."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Row = dict[str, str | float]


def wake_words(shared: Path = SHARED) -> dict[str, Row]:
    """Measure every detector that is there: name to row. Takes half an hour on a slow machine."""
    if not (shared / "wake/alexa").is_dir():
        print(f"{shared}: no recordings, so wake words are not measured", file=sys.stderr)
        return {}
    rows: dict[str, Row] = {}
    for name in DETECTORS:
        command = [sys.executable, "-m", "bench.wake", str(shared), "--only", name]
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | _ONE_THREAD | {"PYTHONPATH": path}
        output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
        if row := json.loads(output):
            rows[name] = row
    return rows


def measure(detector: WakeWordDetector, shared: Path) -> Row:
    """All numbers of one detector."""
    words = sorted((shared / "wake/alexa").glob("*.flac"), key=lambda path: int(path.stem))
    row: Row = {}
    for condition, snr in CONDITIONS.items():
        for part, remainder in PARTS.items():
            paths = [path for path in words if int(path.stem) % 4 == remainder]
            missed = sum(not heard(detector, scene(path, snr, shared)) for path in paths)
            share = round(100 * missed / len(paths), 1)
            row[f"missed, {condition}, {part}"] = f"{missed} of {len(paths)} ({share} %)"
    sound = [read(path) for path in not_wake_words(shared)]
    hours = sum(each.size for each in sound) / SAMPLE_RATE / 3600
    hits = len(heard(detector, joined(sound)))
    row["false accepts"] = hits
    row["in hours without the word"] = round(hours, 2)
    row["false accepts per hour"] = round(hits / hours, 2)
    row["CPU s per s, 95 % silence"] = cpu(detector, sparse([read(path) for path in words[:10]]))
    english = [read(path) for path in sorted((shared / "english").glob("*.flac"))[:25]]
    row["CPU s per s, speech"] = cpu(detector, np.concatenate(english))
    return row


def scene(path: Path, snr: float | None, shared: Path) -> Samples:
    """A wake word with noise in front and behind."""
    seed = int(path.stem)
    speech = np.pad(read(path), (round(BEFORE * SAMPLE_RATE), round(AFTER * SAMPLE_RATE)))
    seconds = speech.size / SAMPLE_RATE
    if snr is None:
        return speech + room(seed, seconds)
    return mix(speech, kitchen(shared / "noise", seed, seconds), snr)


def heard(detector: WakeWordDetector, sound: Samples) -> list[WakeWord]:
    """What is heard in a sound, from a fresh start."""
    detector.reset()
    hits = (detector.process(frame) for frame in frames(sound))
    return [hit for hit in hits if hit is not None]


def cpu(detector: WakeWordDetector, sound: Samples) -> float:
    """CPU seconds of the process for each second of sound."""
    detector.reset()
    began = time.process_time()
    for frame in frames(sound):
        detector.process(frame)
    return round((time.process_time() - began) * SAMPLE_RATE / sound.size, 4)


def not_wake_words(shared: Path) -> list[Path]:
    """Recordings in which nobody says "alexa", of people, noise and the project's own."""
    spoken = [*own("commands"), *own("other")]
    ours = [each.path for each in spoken if "알렉사" not in each.text]
    folders = [shared / name for name in ("english", "korean", "noise")]
    return [path for folder in folders for path in sorted(folder.glob("*.flac"))] + ours


def joined(sound: list[Samples]) -> Samples:
    """One after the other, in a quiet room."""
    gap = np.zeros(round(BETWEEN * SAMPLE_RATE), np.int16)
    whole = np.concatenate([piece for each in sound for piece in (each, gap)])
    return _in_room(whole)


def sparse(sound: list[Samples]) -> Samples:
    """Spread out in a quiet room so that they are :data:`SPEECH_SHARE` of the time."""
    factor = round((1 - SPEECH_SHARE) / SPEECH_SHARE)
    whole = [np.concatenate([np.zeros(factor * each.size, np.int16), each]) for each in sound]
    return _in_room(np.concatenate(whole))


def _in_room(sound: Samples) -> Samples:
    noise = np.resize(room(0, 60.0), sound.size).astype(np.int32)
    return (sound + noise).clip(-32_768, 32_767).astype(np.int16)


class MicroWakeWord(WakeWordDetector):
    """pymicro-wakeword, as its own example runs it."""

    def __init__(self) -> None:
        package = importlib.import_module("pymicro_wakeword")
        self._engine = package.MicroWakeWord.from_builtin(package.Model.ALEXA)
        self._features = package.MicroWakeWordFeatures()
        self._trigger = Trigger(1.0, 1, 2.0)

    def reset(self) -> None:
        self._engine.reset()
        self._features.reset()
        self._trigger.reset()

    def process(self, frame: Frame) -> WakeWord | None:
        columns = self._features.process_streaming(frame.samples.tobytes())
        hits = [self._engine.process_streaming(column) for column in columns]
        score = self._trigger.update(float(any(hits)))
        return None if score is None else WakeWord("alexa", "alexa", score, frame.end)


class PyOpenWakeWord(WakeWordDetector):
    """pyopen-wakeword, as its own example runs it."""

    def __init__(self) -> None:
        package = importlib.import_module("pyopen_wakeword")
        self._engine = package.OpenWakeWord.from_builtin(package.Model.ALEXA)
        self._features = package.OpenWakeWordFeatures.from_builtin()
        self._trigger = Trigger(0.5, 1, 2.0)

    def reset(self) -> None:
        self._engine.reset()
        self._features.reset()
        self._trigger.reset()

    def process(self, frame: Frame) -> WakeWord | None:
        embeddings = self._features.process_streaming(frame.samples.tobytes())
        scores = [s for e in embeddings for s in self._engine.process_streaming(e)]
        score = self._trigger.update(max(scores, default=0.0))
        return None if score is None else WakeWord("alexa", "alexa", score, frame.end)


def open_wake_word() -> OpenWakeWordDetector:
    """The project's detector, without a gate."""
    models = ModelStore(default_models_folder())
    word = WakeWordSettings(model="alexa_v0.1", assistant="alexa")
    return OpenWakeWordDetector(
        [word], [models.path(word.model)], *(models.path(name) for name in FEATURE_MODELS)
    )


DETECTORS: dict[str, Callable[[], WakeWordDetector]] = {
    "openWakeWord": open_wake_word,
    "openWakeWord, gated": lambda: EnergyGate(open_wake_word()),
    "pymicro-wakeword": MicroWakeWord,
    "pyopen-wakeword": PyOpenWakeWord,
}


def main() -> int:
    """Print the table as JSON; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.wake", description=__doc__)
    parser.add_argument("shared", type=Path, nargs="?", default=SHARED)
    parser.add_argument("--only", choices=DETECTORS, help="one of them, in this process")
    options = parser.parse_args()
    if options.only is None:
        print(json.dumps(wake_words(options.shared), indent=2))
        return 0
    try:
        detector = DETECTORS[options.only]()
    except ModuleNotFoundError as error:
        print(f"{options.only}: not measured, {error}", file=sys.stderr)
        print("{}")
        return 0
    print(json.dumps(measure(detector, options.shared)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
