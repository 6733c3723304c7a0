"""The recordings that are measured on, and who of the speakers was tuned on."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.noise import kitchen, mix, read
from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE, Frame, Samples

TESTS = Path(__file__).parents[1]
AUDIO = TESTS / "audio"
SHARED = TESTS.parents[1] / "shared/audio"
"""Recordings of people, which are not in the repository."""

TUNED_ON = frozenset({"alpha", "kumo", "emf", "emg", "lmy", "nea", "neb", "pmb", "pmc", "pmj", ""})
"""Voices and speakers on whom costs and limits were chosen; what is reported is of the others.
The recordings of no named speaker count as tuned on."""

NOISES = {"clean": None, "20 dB": 20.0, "10 dB": 10.0, "5 dB": 5.0}
"""Ratio of the speech to the noise of a kitchen behind it."""

TAIL = 2.0
"""Seconds of quiet after a recording."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording, and what is said in it."""

    path: Path
    text: str
    speaker: str
    intent: str | None = None
    """None: it is no command."""
    slots: Any = None
    speech_end: float = 0.0
    """Seconds; of the project's own recordings only."""

    def sound(self, shared: Path, snr: float | None = None) -> Samples:
        """The sound, with quiet after it, and a kitchen behind both."""
        clean = np.pad(read(self.path), (0, round(TAIL * SAMPLE_RATE)))
        if snr is None:
            return clean
        seed = int.from_bytes(self.path.name.encode()) % 2**32
        return mix(clean, kitchen(shared / "noise", seed, clean.size / SAMPLE_RATE), snr)


def own(folder: str) -> list[Recording]:
    """The project's own recordings in a folder."""
    labels = yaml.safe_load((AUDIO / "labels.yaml").read_text(encoding="utf-8"))
    return [
        Recording(
            AUDIO / label["file"],
            label["text"],
            label["voice"],
            label["intent"],
            label["slots"],
            label["speech_end"] or 0.0,
        )
        for label in labels
        if label["file"].startswith(f"{folder}/")
    ]


def commands() -> list[Recording]:
    """Commands by the voices that nothing was tuned on."""
    return [each for each in own("commands") if each.speaker not in TUNED_ON]


def korean(shared: Path) -> list[Recording]:
    """Korean sentences of people that nothing was tuned on, none of them a command."""
    with (shared / "SOURCES.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        Recording(shared / row["path"], row["label"], row["speaker"])
        for row in rows
        if row["path"].startswith("korean/") and row["speaker"] not in TUNED_ON
    ]


def frames(sound: Samples) -> Iterator[Frame]:
    """A sound frame by frame, the last one filled up with silence."""
    sound = np.pad(sound, (0, -sound.size % FRAME_SAMPLES))
    for number, samples in enumerate(sound.reshape(-1, FRAME_SAMPLES)):
        yield Frame(samples, number * FRAME_SECONDS)
