"""The language model inside a Vosk model, and a smaller one made from it.

A Vosk model with a dynamic graph has its language model in ``graph/Gr.fst``: an acceptor over word
ids (type ``ngram``) with a state for each history, costs that are negative natural logarithms, and
arcs with label 0 that back off to the shorter history. State 0 knows nothing (unigrams), state 1 is
the beginning of a sentence. Only unigrams and bigrams are kept.
"""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from soripan.asr.openfst import OpenFst

Ids = NDArray[np.int32]
Costs = NDArray[np.float32]

UNIGRAM_STATE: Final = 0
START_STATE: Final = 1


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Words, unigrams and bigrams. Costs are negative natural logarithms of probabilities."""

    words: tuple[str, ...]
    """By id, as the model's graph counts; an id that is not used has an empty text."""
    unigrams: Costs
    """Cost of each word, shape ``(len(words),)``; infinite for one that cannot be said."""
    back_off: Costs
    """Cost of forgetting a word, shape ``(len(words),)``; infinite if nothing follows on it."""
    ends: Costs
    """Cost of ending after a word; infinite if that goes only after forgetting it."""
    end: float
    """Cost of ending when nothing is known."""
    histories: Ids
    """The first word of each bigram; -1 is the beginning of the sentence."""
    followers: Ids
    """The second word of each bigram."""
    costs: Costs
    """Of each bigram."""
    start_back_off: float
    """Cost of forgetting the beginning of the sentence."""

    @property
    def sayable(self) -> NDArray[np.bool_]:
        """Which words can be said, shape ``(len(words),)``."""
        return np.isfinite(self.unigrams)


def read(model: Path, fst: OpenFst, folder: Path, *, bigrams: bool = True) -> LanguageModel:
    """Read the language model of a Vosk model.

    Args:
        model: its folder.
        fst: the tools.
        folder: for temporary files, about as large as ``graph/Gr.fst``.
        bigrams: whether to read them; they take most of the memory.
    """
    gr = model / "graph/Gr.fst"
    symbols, plain = folder / "words.txt", folder / "plain.fst"
    fst.run("fstsymbols", f"--save_isymbols={symbols}", gr, "/dev/null")
    fst.run("fstsymbols", "--clear_isymbols", "--clear_osymbols", gr, plain)
    ids = {}
    for line in symbols.read_text(encoding="utf-8").splitlines():
        name, _, number = line.rpartition("\t")
        ids[int(number)] = name
    words = tuple(ids.get(number, "") for number in range(max(ids) + 1))
    raw = _Raw()
    with fst.lines("fstprint", plain) as printed:
        for arc in printed:
            # Words that cannot begin a sentence have costs of their own, after "0".
            if bigrams or arc.startswith((b"0\t", b"1\t0\t")):
                raw.add(arc.split())
    plain.unlink()
    return _assemble(words, raw)


class _Raw:
    """The arcs and final states of a printed acceptor, column by column."""

    def __init__(self) -> None:
        self.sources, self.targets, self.labels = array("i"), array("i"), array("i")
        self.costs = array("f")
        self.finals: dict[int, float] = {}

    def add(self, fields: list[bytes]) -> None:
        """Take a line: an arc (source, target, label twice, cost) or a final state (and cost)."""
        if len(fields) > 2:
            self.sources.append(int(fields[0]))
            self.targets.append(int(fields[1]))
            self.labels.append(int(fields[2]))
            self.costs.append(float(fields[4]) if len(fields) > 4 else 0.0)
        else:
            self.finals[int(fields[0])] = float(fields[1]) if len(fields) > 1 else 0.0


def _assemble(words: tuple[str, ...], raw: _Raw) -> LanguageModel:
    sources = np.frombuffer(raw.sources, np.int32)
    targets = np.frombuffer(raw.targets, np.int32)
    labels = np.frombuffer(raw.labels, np.int32)
    costs = np.frombuffer(raw.costs, np.float32)
    states = int(max(sources.max(), targets.max())) + 1

    def per_word(indices: Ids, values: Costs) -> Costs:
        found = np.full(len(words), np.inf, np.float32)
        found[indices] = values
        return found

    unigram = sources == UNIGRAM_STATE
    backs_off = (labels == 0) & (targets == UNIGRAM_STATE)
    # The state of a word's history, and back. Longer histories are left alone.
    word_of = np.full(states, -1, np.int32)
    word_of[targets[unigram]] = labels[unigram]
    word_of[UNIGRAM_STATE] = -1
    short = np.zeros(states, bool)
    short[sources[backs_off]] = True
    known = backs_off & (word_of[sources] >= 0)
    bigram = short[sources] & (labels != 0) & ~unigram
    bigram &= (word_of[sources] >= 0) | (sources == START_STATE)
    ends = {word_of[state]: cost for state, cost in raw.finals.items() if word_of[state] >= 0}
    return LanguageModel(
        words=words,
        unigrams=per_word(labels[unigram], costs[unigram]),
        back_off=per_word(word_of[sources[known]], costs[known]),
        ends=per_word(
            np.fromiter(ends.keys(), np.int32, len(ends)),
            np.fromiter(ends.values(), np.float32, len(ends)),
        ),
        end=raw.finals.get(UNIGRAM_STATE, 0.0),
        histories=np.where(sources[bigram] == START_STATE, -1, word_of[sources[bigram]]),
        followers=labels[bigram],
        costs=costs[bigram],
        start_back_off=float(costs[backs_off & (sources == START_STATE)].sum()),
    )


def prune(
    model: LanguageModel, words: int, bigrams: int, always: NDArray[np.bool_]
) -> LanguageModel:
    """Keep the likeliest words and those marked, and the bigrams between them that matter most.

    A bigram matters by p(h) p(w|h) (log p(w|h) - log of what backing off would say), the relative
    entropy criterion of Stolcke (1998), "Entropy-based pruning of backoff language models". The
    back-off costs stay, so what is left out gets exactly its old back-off probability.
    """
    kept = np.zeros(len(model.words), bool)
    kept[np.argsort(model.unigrams, kind="stable")[:words]] = True
    kept |= always
    kept &= model.sayable
    of_start = model.histories < 0
    candidates = np.flatnonzero(kept[model.followers] & (kept[model.histories] | of_start))
    history, word = model.histories[candidates], model.followers[candidates]
    cost, start = model.costs[candidates], of_start[candidates]
    log_history = np.where(start, 0.0, -model.unigrams[history])
    instead = np.where(start, model.start_back_off, model.back_off[history]) + model.unigrams[word]
    gain = np.exp(log_history - cost) * (instead - cost)
    best = candidates[np.sort(np.argsort(-gain, kind="stable")[:bigrams])]
    return LanguageModel(
        words=model.words,
        unigrams=np.where(kept, model.unigrams, np.inf).astype(np.float32),
        back_off=model.back_off,
        ends=model.ends,
        end=model.end,
        histories=model.histories[best],
        followers=model.followers[best],
        costs=model.costs[best],
        start_back_off=model.start_back_off,
    )
