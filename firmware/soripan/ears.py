"""What a panel hears with, put together from its config: wake words, recogniser, graph."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soripan.asr.graph import Progress
from soripan.asr.lexicon import Lexicon
from soripan.asr.listening import graph_folder, listening_model
from soripan.asr.models import ModelStore
from soripan.asr.profiles import PHRASES, PROFILES, Profile, fitting
from soripan.asr.recogniser import Recogniser
from soripan.audio.ring import RingBuffer
from soripan.config import Config
from soripan.nlu.grammar import Grammar, compile_grammar
from soripan.nlu.templates import Templates
from soripan.nlu.text import normalise
from soripan.wake.detector import WakeWordDetector
from soripan.wake.gate import PRE_ROLL, EnergyGate
from soripan.wake.openwakeword import FEATURE_MODELS, OpenWakeWordDetector
from soripan.wake.phrase import PhraseDetector, phrase_templates

RECOGNISERS: Final = {"ko": "vosk-model-small-ko-0.22", "en": "vosk-model-small-en-us-0.15"}
"""The recogniser's model of each language, unless the config names one."""

NOISE_MEMORY: Final = 2.0
"""Seconds of sound before a session from which the noise of the room is known when it begins."""


@dataclass(slots=True)
class Ears:
    """All that sound goes through."""

    detector: WakeWordDetector
    recogniser: Recogniser
    ring: RingBuffer


def models_needed(config: Config) -> list[str]:
    """The models that a panel with this config loads, each once, the recogniser's first."""
    wake = config.settings.wake
    words = [word.model for word in wake.words] if wake.engine == "openwakeword" else []
    return list(dict.fromkeys([_recogniser(config), *(FEATURE_MODELS if words else ()), *words]))


def open_ears(
    config: Config, models: ModelStore, templates: Templates, grammar: Grammar, progress: Progress
) -> Ears:
    """Load the recogniser and the wake words.

    Raises:
        ModelError: a model is missing or damaged.
        ToolMissingError: OpenFst, which builds the listening graph, is not installed.
        TemplateError: a sentence or a phrase has a word that the recogniser does not know.
    """
    settings = config.settings
    for name in models_needed(config):
        models.path(name)  # all of them, before the first is loaded
    graph = build_graph(config, models, templates, grammar, progress)
    recogniser = Recogniser(graph or stock_model(config, models), settings.asr.alternatives)
    if graph is None:
        check_words(templates, Lexicon(recogniser.find_word))
    ring = RingBuffer(settings.wake.pre_roll + PRE_ROLL + NOISE_MEMORY)
    return Ears(open_detector(config, models, progress), recogniser, ring)


def open_detector(config: Config, models: ModelStore, progress: Progress) -> WakeWordDetector:
    """Load the wake words.

    Raises:
        ModelError, ToolMissingError, TemplateError: as :func:`open_ears`.
    """
    wake = config.settings.wake
    detector: WakeWordDetector
    if wake.engine == "phrase":
        detector = _open_phrases(config, models, progress)
    else:
        paths = [models.path(word.model) for word in wake.words]
        detector = OpenWakeWordDetector(wake.words, paths, *map(models.path, FEATURE_MODELS))
    if not wake.gate:
        return detector
    rest = max(word.refractory for word in wake.words)
    return EnergyGate(detector, margin=wake.gate_margin, rest=rest)


def _open_phrases(config: Config, models: ModelStore, progress: Progress) -> WakeWordDetector:
    graph = build_phrases(config, models, progress)
    recogniser = Recogniser(graph, config.settings.asr.alternatives)
    return PhraseDetector(config.settings.wake.words, recogniser)


def build_phrases(config: Config, models: ModelStore, progress: Progress) -> Path:
    """The graph of the wake words that are phrases, built if it is not there.

    Raises:
        ModelError, ToolMissingError, TemplateError: as :func:`open_ears`.
    """
    words = [word.phrase for word in config.settings.wake.words]
    phrases = phrase_templates(config.settings.panel.language, words, config.path)
    return listening_model(
        stock_model(config, models),
        compile_grammar(phrases),
        PHRASES,
        config.graphs_folder,
        progress,
        functools.partial(check_words, phrases),
    )


def stock_model(config: Config, models: ModelStore) -> Path:
    """The recogniser's model as it comes."""
    return models.path(_recogniser(config))


def profile(config: Config) -> Profile | None:
    """How large the listening graph is to be; None: there is none, the stock model is used."""
    name = config.settings.asr.graph
    if name == "stock":
        return None
    return fitting() if name == "auto" else PROFILES[name]


def built_graph(config: Config, models: ModelStore, grammar: Grammar) -> Path | None:
    """The listening graph of the present config, if it is built."""
    if (size := profile(config)) is None:
        return None
    folder = graph_folder(stock_model(config, models), grammar, size, config.graphs_folder)
    return folder if folder.is_dir() else None


def build_graph(
    config: Config, models: ModelStore, templates: Templates, grammar: Grammar, progress: Progress
) -> Path | None:
    """The listening graph, built if it is not there; None if the config wants none.

    Raises:
        ModelError, ToolMissingError, TemplateError: as :func:`open_ears`.
    """
    if (size := profile(config)) is None:
        return None
    return listening_model(
        stock_model(config, models),
        grammar,
        size,
        config.graphs_folder,
        progress,
        functools.partial(check_words, templates),
    )


def check_words(templates: Templates, lexicon: Lexicon) -> None:
    """See that the recogniser can write every word of the sentences.

    Raises:
        TemplateError: there is one that it cannot, so it would never be understood.
    """
    words = {
        word: origin for text, origin in templates.literals() for word in normalise(text).split()
    }
    for word, origin in words.items():
        if lexicon.spellings(word):
            continue
        near = ", ".join(f"“{each}”" for each in lexicon.nearest(word))
        raise origin.error(
            f"the recogniser does not know “{word}”, so it would never be understood "
            + (f"(words like it that it knows: {near})" if near else "(use another word)")
        )


def _recogniser(config: Config) -> str:
    return config.settings.asr.model or RECOGNISERS[config.settings.panel.language]
