"""The listening graph: exact commands and open speech in one pass.

A stock Vosk model composes its graph while it decodes, which takes half a gigabyte and a desktop's
speed. Here the graph is compiled beforehand from the model's own parts: its lexicon and phones
(``graph/HCLr.fst``) are composed with an acceptor that is the union of

- the commands, as the sentence templates have them and the lexicon spells them, and
- an open part: the likeliest words and bigrams of the model's own language model,

with one cost between the two. Open slots of the commands lead through the open part. The result is
a folder that is a Vosk model of its own; the acoustic model in it is a link.
"""

import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from soripan.asr import ngrams
from soripan.asr.acceptor import OPEN, Acceptor, compile_acceptor
from soripan.asr.lexicon import Lexicon
from soripan.asr.ngrams import LanguageModel
from soripan.asr.openfst import OpenFst, tools
from soripan.nlu.grammar import Grammar

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of the open part is kept, and what the commands cost against it."""

    words: int
    bigrams: int
    command_cost: float
    """Added to every command, in units of negative natural logarithms: higher rejects more."""
    branch_cost: float
    """Where a command can go on in n ways, each costs this times log n. With 1, all that can be
    said at a point is equally likely; less favours commands over open speech."""
    slot_cost: float
    """Added where an open slot begins, and where it ends."""


def build(model: Path, grammar: Grammar, size: Size, target: Path, progress: Progress) -> None:
    """Compile a listening graph.

    Args:
        model: folder of a stock Vosk model with a dynamic graph.
        grammar: the commands.
        size: of the open part.
        target: an empty folder that becomes a Vosk model.
        progress: told what is being done.
    """
    work = target / "work"
    work.mkdir(parents=True)
    with tools() as fst:
        progress("reading the model's words and language model")
        language = ngrams.read(model, fst, work)
        progress("spelling the commands")
        commands = compile_acceptor(grammar, _lexicon(language), fst, work)
        progress("putting commands and open speech together")
        union = work / "union.txt"
        with union.open("w") as file:
            _write_union(file, commands, ngrams.prune(language, size.words, size.bigrams), size)
        progress("composing the graph")
        _compose(model, union, target, fst, work)
    _write_words(target / "graph/words.txt", language)
    for part in ("am", "ivector"):
        (target / part).symlink_to((model / part).resolve())
    shutil.copytree(model / "conf", target / "conf")
    (target / "graph/phones").mkdir()
    shutil.copy(model / "graph/phones/word_boundary.int", target / "graph/phones")
    shutil.rmtree(work)


def _lexicon(language: LanguageModel) -> Lexicon:
    ids = {
        word: number
        for number, word in enumerate(language.words)
        if word and np.isfinite(language.unigrams[number])
    }
    return Lexicon(ids.get, ids)


def _write_union(file: TextIO, commands: Acceptor, language: LanguageModel, size: Size) -> None:
    """Write commands and open part as one acceptor in OpenFst's text format.

    States: 0 start, 1 open part without history, 2 beginning of an open sentence, then one for each
    word on which a kept bigram follows, then those of the commands.
    """
    start, unigram, begin = 0, 1, 2
    history = {word: 3 + i for i, word in enumerate(np.unique(language.histories).tolist())}
    history[-1] = begin
    first = 3 + len(history)

    def arc(source: int, target: int, label: int, cost: float) -> None:
        file.write(f"{source} {target} {label} {label} {cost:.4f}\n")

    arc(start, begin, 0, 0.0)
    arc(start, first, 0, size.command_cost)
    branches = Counter(source for source, _, _ in commands.arcs)
    after_slot = {target for _, target, label in commands.arcs if label == OPEN}
    for source, target, label in sorted(commands.arcs):
        if label == OPEN:
            arc(first + source, unigram, 0, size.slot_cost)
            continue
        cost = size.branch_cost * math.log(branches[source])
        arc(first + source, first + target, label, cost)
        if source in after_slot:
            # Not by an arc that takes nothing: composition would follow it from within every word.
            arc(unigram, first + target, label, size.slot_cost + cost)
    file.writelines(f"{first + state}\n" for state in sorted(commands.finals))
    for word in np.flatnonzero(np.isfinite(language.unigrams)).tolist():
        arc(unigram, history.get(word, unigram), word, language.unigrams[word])
    file.write(f"{unigram} {language.end:.4f}\n")
    arc(begin, unigram, 0, language.start_back_off)
    for word, state in history.items():
        if word >= 0:
            arc(state, unigram, 0, language.back_off[word])
            if np.isfinite(language.ends[word]):
                file.write(f"{state} {language.ends[word]:.4f}\n")
    bigrams = zip(
        language.histories.tolist(), language.followers.tolist(), language.costs, strict=True
    )
    for before, word, cost in bigrams:
        arc(history[before], history.get(word, unigram), word, cost)


def _compose(model: Path, union: Path, target: Path, fst: OpenFst, work: Path) -> None:
    graph = target / "graph"
    graph.mkdir()
    compiled, sorted_, composed = work / "union.fst", work / "sorted.fst", work / "composed.fst"
    fst.run("fstcompile", union, compiled)
    fst.run("fstarcsort", "--sort_type=ilabel", compiled, sorted_)
    # HCLr stays in its lookahead type: as a plain graph the composition takes sixty times as long.
    fst.run("fstcompose", model / "graph/HCLr.fst", sorted_, composed)
    pairs = work / "disambiguation.txt"
    ids = (model / "graph/disambig_tid.int").read_text().split()
    pairs.write_text("".join(f"{number} 0\n" for number in ids))
    fst.run("fstrelabel", f"--relabel_ipairs={pairs}", composed, compiled)
    fst.run("fstarcsort", "--sort_type=ilabel", compiled, sorted_)
    fst.run("fstconvert", "--fst_type=const", sorted_, graph / "HCLG.fst")


def _write_words(path: Path, language: LanguageModel) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{word} {i}\n" for i, word in enumerate(language.words) if word)
