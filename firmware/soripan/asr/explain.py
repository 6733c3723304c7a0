"""How a sentence is spelled in the words of the recogniser, and whether its graph has it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soripan.asr.acceptor import OPEN, Acceptor
from soripan.asr.lexicon import Lexicon
from soripan.exc import ModelError
from soripan.nlu.text import normalise

FREE: Final = "…"
"""Stands in a spelling for words of free text."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the listening graph makes of a sentence."""

    spelled: tuple[tuple[str, tuple[str, ...]], ...]
    """Each word, with the ways to put it together from words of the graph; none if it cannot be."""
    commands: tuple[str, ...]
    """The spellings with which the graph accepts the sentence as a command; none if it does not.
    Where a command has free text, :data:`FREE` stands for it."""
    near: tuple[str, ...]
    """If a word cannot be put together: words of the graph that look like it."""


def explain(model: Path, sentence: str) -> Explanation:
    """Explain a sentence.

    Args:
        model: folder of a listening graph.
        sentence: as people write it.

    Raises:
        ModelError: the folder holds no listening graph.
    """
    ids = _read_words(model)
    names = {number: word for word, number in ids.items()}
    lexicon = Lexicon(ids.get, ids)
    words = normalise(sentence).split()
    spelled = tuple(
        (word, tuple(" ".join(names[i] for i in way) for way in lexicon.spellings(word)))
        for word in words
    )
    unknown = next((word for word, ways in spelled if not ways), None)
    near = lexicon.nearest(unknown) if unknown is not None else ()
    found = set(_accepted(_read_commands(model), names, "".join(words)))
    return Explanation(spelled, tuple(sorted(found, key=lambda way: (way.count(" "), way))), near)


def _read_words(model: Path) -> dict[str, int]:
    try:
        lines = (model / "graph/words.txt").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ModelError(f"{model}: no listening graph: {error.strerror}") from None
    return {word: int(number) for word, _, number in (line.rpartition(" ") for line in lines)}


def _read_commands(model: Path) -> Acceptor:
    try:
        with (model / "graph/commands.txt").open("rb") as file:
            return Acceptor.parse(file)
    except OSError as error:
        raise ModelError(f"{model}: no listening graph: {error.strerror}") from None


def _accepted(commands: Acceptor, names: dict[int, str], text: str) -> Iterator[str]:
    """The paths of the commands that take a text."""
    by_state: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for source, target, label in commands.arcs:
        by_state[source].append((label, target))
    letters = {i: word.casefold() for i, word in names.items()}
    waiting: list[tuple[int, int, tuple[str, ...]]] = [(0, 0, ())]
    while waiting:
        state, position, way = waiting.pop()
        if position == len(text) and state in commands.finals:
            yield " ".join(way)
        for label, target in by_state[state]:
            if label == OPEN:
                ends = range(position + 1, len(text) + 1)
                waiting.extend((target, end, (*way, FREE)) for end in ends)
            elif text.startswith(letters[label], position):
                waiting.append((target, position + len(letters[label]), (*way, names[label])))
