"""Measures a phrase as a wake word: "하이 소리", spoken by the project's voices."""

import time
from pathlib import Path
from typing import Any

import msgspec

from bench.corpus import NOISES, TESTS, frames, korean, own
from bench.noise import read
from soripan import config, ears
from soripan.asr.models import ModelStore
from soripan.audio.frame import SAMPLE_RATE, Samples
from soripan.config import WakeSettings, WakeWordSettings
from soripan.wake.detector import WakeWord, WakeWordDetector

PHRASE = "하이 소리"
Row = dict[str, Any]


def phrases(shared: Path) -> dict[str, Row]:
    """Misses, false accepts and cost."""
    loaded = config.load(TESTS.parent / "config/panel.toml")
    wake = WakeSettings(engine="phrase", gate=False, words=[WakeWordSettings(phrase=PHRASE)])
    replaced = msgspec.structs.replace(loaded.settings, wake=wake)
    settings = msgspec.structs.replace(loaded, settings=replaced)
    detector = ears.open_detector(settings, ModelStore(settings.models_folder), print)
    row: Row = {}
    for noise, snr in NOISES.items():
        if snr is not None and not (shared / "noise").is_dir():
            continue
        sounds = [each.sound(shared, snr) for each in own("phrase")]
        missed = sum(not _hear(detector, sound) for sound in sounds)
        row[f"missed, {noise}"] = f"{missed} of {len(sounds)}"
    others = [*own("commands"), *own("other")]
    if (shared / "korean").is_dir():
        others += korean(shared)
    began, seconds, false = time.process_time(), 0.0, 0
    for recording in others:
        sound = read(recording.path)
        false += len(_hear(detector, sound))
        seconds += sound.size / SAMPLE_RATE
    row["false accepts"] = f"{false} in {seconds / 60:.0f} minutes of Korean"
    row["CPU seconds per second of speech"] = round((time.process_time() - began) / seconds, 3)
    return {f"“{PHRASE}”": row}


def _hear(detector: WakeWordDetector, sound: Samples) -> list[WakeWord]:
    detector.reset()
    return [hit for frame in frames(sound) if (hit := detector.process(frame)) is not None]
