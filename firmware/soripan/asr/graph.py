"""The listening graph: exact commands and open speech in one pass.

A stock Vosk model composes its graph while it decodes, which takes half a gigabyte and a desktop's
speed. Here the graph is compiled beforehand from the model's own parts: its lexicon and phones
(``graph/HCLr.fst``) are composed with an acceptor that is the union of

- the commands, as the sentence templates have them and the lexicon spells them, and
- an open part: the likeliest words and bigrams of the model's own language model,

with one cost between the two. Open slots of the commands lead through the open part. The result is
a folder that is a Vosk model of its own; the acoustic model in it is a link.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import numpy as np

from soripan.asr import ngrams
from soripan.asr.acceptor import OPEN, Acceptor, compile_acceptor
from soripan.asr.lexicon import Lexicon
from soripan.asr.ngrams import LanguageModel
from soripan.asr.openfst import OpenFst, tools
from soripan.asr.profiles import Profile
from soripan.asr.weights import Arc, weigh
from soripan.nlu.grammar import Grammar

Progress = Callable[[str], None]


def build(
    model: Path,
    grammar: Grammar,
    profile: Profile,
    target: Path,
    progress: Progress,
    check: Callable[[Lexicon], None],
) -> None:
    """Compile a listening graph.

    Args:
        model: folder of a stock Vosk model with a dynamic graph.
        grammar: the commands.
        profile: size of the open part, costs, and how the recogniser is to search.
        target: an empty folder that becomes a Vosk model.
        progress: told what is being done.
        check: given the lexicon of the model, raises if that lacks something.
    """
    work = target / "work"
    work.mkdir(parents=True)
    union = work / "union.txt"
    with tools() as fst:
        # What the parts need is given back before the composition, which needs the most.
        _unite(model, grammar, profile, fst, target, union, progress, check)
        progress("composing the graph")
        _compose(model, union, target, fst, work)
    for part in ("am", "ivector"):
        # Relative, so that both may be moved together.
        (target / part).symlink_to(os.path.relpath((model / part).resolve(), target.resolve()))
    shutil.copytree(model / "conf", target / "conf")
    _set_search(target / "conf/model.conf", profile)
    (target / "graph/phones").mkdir()
    shutil.copy(model / "graph/phones/word_boundary.int", target / "graph/phones")
    shutil.rmtree(work)


def _unite(
    model: Path,
    grammar: Grammar,
    profile: Profile,
    fst: OpenFst,
    target: Path,
    union: Path,
    progress: Progress,
    check: Callable[[Lexicon], None],
) -> None:
    """Write the union of commands and open part, and beside it what explains it."""
    work = union.parent
    progress("reading the model's words and language model")
    language = ngrams.read(model, fst, work, bigrams=profile.bigrams > 0)
    lexicon = _lexicon(language)
    check(lexicon)
    progress("spelling the commands")
    commands = compile_acceptor(grammar, lexicon, fst, work)
    progress("putting commands and open speech together")
    syllables = np.fromiter((len(w) == 1 and "가" <= w <= "힣" for w in language.words), bool)
    small = ngrams.prune(language, profile.words, profile.bigrams, syllables)
    costs = weigh(commands, grammar.examples, language.words)
    with union.open("w") as file:
        _write_union(file, commands, costs, small, profile)
    (target / "graph").mkdir()
    used = {label for _, _, label in commands.arcs} | set(np.flatnonzero(small.sayable).tolist())
    with (target / "graph/words.txt").open("w", encoding="utf-8") as file:
        # Kaldi wants a name for the empty label; the others that nobody says only cost memory.
        file.writelines(f"{w} {i}\n" for i, w in enumerate(language.words) if i in used or i == 0)
    commands.write(target / "graph/commands.txt")


def _lexicon(language: LanguageModel) -> Lexicon:
    ids = {language.words[i]: i for i in np.flatnonzero(language.sayable).tolist()}
    return Lexicon(ids.get, ids)


def _write_union(
    file: TextIO,
    commands: Acceptor,
    costs: Mapping[Arc, float],
    language: LanguageModel,
    profile: Profile,
) -> None:
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

    # Nothing said: else silence would be taken for the cheapest word.
    file.write(f"{start} 0\n")
    arc(start, begin, 0, 0.0)
    arc(start, first, 0, profile.command_cost)
    after_slot = {target for _, target, label in commands.arcs if label == OPEN}
    for (source, target, label), cost in costs.items():
        if label == OPEN:
            arc(first + source, unigram, 0, profile.slot_cost + cost)
            continue
        arc(first + source, first + target, label, cost)
        if source in after_slot:
            # Not by an arc that takes nothing: composition would follow it from within every word.
            arc(unigram, first + target, label, profile.slot_cost + cost)
    file.writelines(f"{first + state}\n" for state in sorted(commands.finals))
    for word in np.flatnonzero(language.sayable).tolist():
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


def _set_search(path: Path, profile: Profile) -> None:
    """Set what ``model.conf`` says about the search."""
    values = {
        "max-active": str(profile.max_active),
        "beam": str(profile.beam),
        "lattice-beam": str(profile.lattice_beam),
    }
    kept = [
        line
        for line in path.read_text().splitlines()
        if line.removeprefix("--").partition("=")[0] not in values
    ]
    lines = kept + [f"--{name}={value}" for name, value in values.items()]
    path.write_text("".join(f"{line}\n" for line in lines))
