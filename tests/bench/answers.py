"""Measures what confirms an order: a yes, and noises of a home that only sound like one."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.corpus import NOISES, TESTS, TUNED_ON, frames, own
from bench.noise import read
from soripan import config, ears
from soripan.asr.models import ModelStore
from soripan.asr.recogniser import Recogniser
from soripan.audio.denoise import NoiseSuppressor
from soripan.audio.frame import SAMPLE_RATE, Frame, Samples
from soripan.dialog.session import Session, Utterance
from soripan.dialog.understand import is_certain, is_complete, understand
from soripan.nlu import templates
from soripan.nlu.grammar import compile_grammar
from soripan.nlu.parser import Parser

Row = dict[str, Any]

WINDOWS = 150
"""Questions that nobody answers, for each half of the noises."""
LEVELS = (-50.0, -20.0)
"""Between which the noise lies, dB of full scale."""
NONE = np.zeros(0, np.int16)


def answers(shared: Path) -> dict[str, Row]:
    """How often a yes is taken for one, and a noise."""
    listener = _Listener()
    row: dict[str, list[int]] = {}
    for recording in own("commands"):
        if recording.intent != "Yes":
            continue
        who = "tuned on" if recording.speaker in TUNED_ON else "held out"
        for noise, snr in NOISES.items():
            if snr is None or (shared / "noise").is_dir():
                heard = listener.yes(recording.sound(shared, snr))
                row.setdefault(f"yes, {noise}, {who}", []).append(heard)
    if (shared / "noise").is_dir():
        for half, who in enumerate(("tuned on", "held out")):
            sounds = _noises(shared / "noise", half, listener.seconds)
            row[f"noise alone, {who}"] = [listener.yes(sound) for sound in sounds]
    return {
        "taken for a yes": {name: _of(heard, 1) for name, heard in row.items()},
        "and certain": {name: _of(heard, 2) for name, heard in row.items()},
    }


def _of(heard: list[int], least: int) -> str:
    return f"{sum(each >= least for each in heard)} of {len(heard)}"


class _Listener:
    """Listens for the answer to a question as the panel does, with its settings."""

    def __init__(self) -> None:
        settings = config.load(TESTS.parent / "config/panel.toml")
        loaded = templates.load(settings.language_folder, settings.settings.panel.language)
        grammar = compile_grammar(loaded)
        models = ModelStore(settings.models_folder)
        model = ears.build_graph(settings, models, loaded, grammar, print)
        asr = settings.settings.asr
        self.seconds = settings.settings.shopping.answer
        self._asr = msgspec.structs.replace(asr, no_speech=self.seconds)
        self._recogniser = Recogniser(model or ears.stock_model(settings, models), asr.alternatives)
        self._parser = Parser(grammar)

    def yes(self, sound: Samples) -> int:
        """0: no yes was heard; 1: one that is not certain; 2: a certain one."""
        utterance = self._hear(sound)
        understood = understand(utterance.transcript, self._parser, self._asr.margin)
        if understood.intent is None or understood.intent.name != "Yes":
            return 0
        return 1 + is_certain(understood, utterance.contrast)

    def _hear(self, sound: Samples) -> Utterance:
        complete = functools.partial(is_complete, parser=self._parser, asked=True)
        session = Session(self._recogniser, self._asr, None, NONE, 0.0, complete)
        suppressor = NoiseSuppressor(self._asr.noise_suppression)
        for frame in frames(sound):
            clean = Frame(suppressor.process(frame.samples), frame.start)
            if (utterance := session.feed(clean, frame.samples)) is not None:
                return utterance
        return session.finish(sound.size / SAMPLE_RATE)


def _noises(folder: Path, half: int, seconds: float) -> Iterator[Samples]:
    """Stretches of every other recording of noise, each as loud as chance will have it."""
    random = np.random.default_rng(half)
    sounds = [read(path) for path in sorted(folder.glob("*.flac"))[half::2]]
    for _ in range(WINDOWS):
        sound = sounds[random.integers(len(sounds))].astype(np.float64)
        part = np.resize(np.roll(sound, -random.integers(sound.size)), round(seconds * SAMPLE_RATE))
        power = np.sqrt(np.mean(part**2)) + 1e-9
        loud = part / power * 32_768 * 10 ** (random.uniform(*LEVELS) / 20)
        yield np.clip(loud, -32_768, 32_767).astype(np.int16)
