"""The commands as an acceptor over the recogniser's words.

The sentence templates are a graph over texts as people write them; the recogniser's lexicon has
words of its own. Here every stretch of text becomes the words of the lexicon that can spell it:
"켜 줘" is also the one word "켜줘", "온도" and "를" also "온도를", and what the lexicon lacks is
put together from as few of its words as possible, down to single syllables.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from soripan.asr.lexicon import Lexicon
from soripan.asr.openfst import OpenFst
from soripan.nlu.grammar import Arc, Grammar, Kind

OPEN: Final = 2_000_000_000
"""The label of an arc that takes any words at all; no word has this id. While the acceptor is made,
the labels after it stand for parts that sentences share."""

_SOON: Final = 2
"""How many words after a number it can still be taken back: "20", "20 degrees", "to 20 degrees"."""

_NOTHING: Final = 0
"""OpenFst's label of an arc that takes nothing."""


@dataclass(slots=True)
class Acceptor:
    """States are numbers; 0 is the start. A label is the id of a word, or :data:`OPEN`."""

    arcs: set[tuple[int, int, int]] = field(default_factory=set)
    """Source, target and label."""
    finals: set[int] = field(default_factory=set)
    states: int = 1

    def state(self) -> int:
        """A new state."""
        self.states += 1
        return self.states - 1

    def minimal(self, fst: OpenFst, work: Path) -> "Acceptor":
        """The acceptor of the same sequences with as few states as possible."""
        text, one, other = work / "acceptor.txt", work / "one.fst", work / "other.fst"
        self.write(text)
        fst.run("fstcompile", text, one)
        fst.run("fstrmepsilon", one, other)
        fst.run("fstdeterminize", other, one)
        fst.run("fstminimize", one, other)
        with fst.lines("fstprint", other) as printed:
            return Acceptor.parse(printed)

    def write(self, path: Path) -> None:
        """Write it in OpenFst's text format."""
        with path.open("w") as file:
            # OpenFst takes the state of the first line for the start.
            for source, target, label in sorted(self.arcs):
                file.write(f"{source} {target} {label} {label}\n")
            file.writelines(f"{state}\n" for state in sorted(self.finals))

    @classmethod
    def parse(cls, lines: Iterable[bytes]) -> "Acceptor":
        """Read OpenFst's text format."""
        acceptor = cls()
        for line in lines:
            fields = [int(each) for each in line.split()[:3]]
            acceptor.states = max(acceptor.states, 1 + max(fields[:2]))
            if len(fields) == 3:
                acceptor.arcs.add((fields[0], fields[1], fields[2]))
            else:
                acceptor.finals.add(fields[0])
        return acceptor


def compile_acceptor(grammar: Grammar, lexicon: Lexicon, fst: OpenFst, work: Path) -> Acceptor:
    """Spell all sentences of a grammar in the words of a lexicon.

    A sentence with a word that the lexicon cannot spell is left out. What the sentences collect
    (things to buy) stands in them many times and is large, so they share it: after it may come
    whatever comes after it in any sentence. The parser knows better.

    Args:
        grammar: the sentences.
        lexicon: the words.
        fst: the tools.
        work: folder for temporary files.
    """
    reader = _Reader(grammar)
    sentences, *parts = (
        _Speller(texts.minimal(fst, work), reader.pieces, lexicon).spell().minimal(fst, work)
        for texts in reader.read()
    )
    return _insert(sentences, parts).minimal(fst, work)


def _insert(sentences: Acceptor, parts: list[Acceptor]) -> Acceptor:
    """Put in the parts that the sentences share."""
    whole = Acceptor(states=sentences.states, finals=sentences.finals)
    firsts = []
    for part in parts:
        firsts.append(whole.states)
        whole.arcs |= {(s + whole.states, t + whole.states, label) for s, t, label in part.arcs}
        whole.states += part.states
    for source, target, label in sentences.arcs:
        if label <= OPEN:
            whole.arcs.add((source, target, label))
            continue
        index = label - OPEN - 1
        first = firsts[index]
        whole.arcs.add((source, first, _NOTHING))
        whole.arcs |= {(first + final, target, _NOTHING) for final in parts[index].finals}
    return whole


class _Reader:
    """Takes a grammar apart into acceptors over pieces of text without white space."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._ids: dict[str, int] = {"": _NOTHING}
        self._parts: dict[str, tuple[int, Acceptor]] = {}

    @property
    def pieces(self) -> list[str]:
        """Label n is piece n."""
        return list(self._ids)

    def read(self) -> list[Acceptor]:
        """The sentences, and the parts that they share."""
        sentences = Acceptor(states=len(self._grammar.arcs), finals=set(self._grammar.finals))
        self._read(sentences, 0)
        return [sentences, *(part for _, part in self._parts.values())]

    def _read(self, acceptor: Acceptor, start: int) -> None:
        """Copy what can be reached from a state, up to the end of an object."""
        waiting, seen = [start], {start}
        while waiting:
            source = waiting.pop()
            for arc in self._grammar.arcs[source]:
                kind = arc.mark.kind if arc.mark else None
                target = arc.target
                if kind is Kind.END_OBJECT:
                    acceptor.finals.add(source)
                    continue
                if kind is Kind.OPEN:
                    target = self._after(arc, Kind.CLOSE)
                    acceptor.arcs.add((source, target, OPEN))
                elif kind is Kind.OBJECT and arc.mark is not None:
                    target = self._after(arc, Kind.END_OBJECT)
                    acceptor.arcs.add((source, target, self._part(arc.mark.slot, arc.target)))
                else:
                    self._add(acceptor, source, arc)
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        for begin, end in self._grammar.numbers:
            if end in seen:
                self._take_back(acceptor, begin, end)

    def _take_back(self, acceptor: Acceptor, begin: int, end: int) -> None:
        """Let a number be said again, after the words that take it back."""
        taken = acceptor.state()
        acceptor.arcs |= {(state, taken, _NOTHING) for state in self._soon_after(end)}
        for correction in self._grammar.corrections:
            self._add(acceptor, taken, Arc(begin, correction))

    def _soon_after(self, state: int) -> set[int]:
        """The states that are not more than a few words after one, and before the next number."""
        numbers = {begin for begin, _ in self._grammar.numbers}
        words, waiting = {state: 0}, [state]
        while waiting:
            source = waiting.pop()
            for arc in self._grammar.arcs[source]:
                after = words[source] + bool(arc.text)
                if arc.mark is not None or arc.target in numbers:
                    continue
                if after <= min(_SOON, words.get(arc.target, after + 1) - 1):
                    words[arc.target] = after
                    waiting.append(arc.target)
        return set(words)

    def _add(self, acceptor: Acceptor, source: int, arc: Arc) -> None:
        *first, last = arc.text.split() or [""]
        for word in first:
            following = acceptor.state()
            acceptor.arcs.add((source, following, self._ids.setdefault(word, len(self._ids))))
            source = following
        acceptor.arcs.add((source, arc.target, self._ids.setdefault(last, len(self._ids))))

    def _part(self, slot: str, state: int) -> int:
        """The label of the part for a slot; what begins in a state is one way to say it."""
        if slot not in self._parts:
            part = Acceptor(states=len(self._grammar.arcs))
            self._parts[slot] = OPEN + 1 + len(self._parts), part
        label, part = self._parts[slot]
        part.arcs.add((0, state, _NOTHING))
        self._read(part, state)
        return label

    def _after(self, opening: Arc, end: Kind) -> int:
        """The state after the mark that closes what an arc opens."""
        waiting, seen = [opening.target], {opening.target}
        while waiting:
            for arc in self._grammar.arcs[waiting.pop()]:
                if arc.mark is not None and arc.mark.kind is end:
                    return arc.target
                if arc.target not in seen:
                    seen.add(arc.target)
                    waiting.append(arc.target)
        raise ValueError(f"what {opening.mark} opens has no end")


class _Speller:
    """Replaces pieces of text by words."""

    def __init__(self, texts: Acceptor, pieces: list[str], lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._acceptor = Acceptor(finals=texts.finals, states=texts.states)
        # By state, then by first letter.
        self._pieces: dict[int, dict[str, list[tuple[str, int]]]] = defaultdict(dict)
        for source, target, label in texts.arcs:
            if label >= OPEN:
                self._acceptor.arcs.add((source, target, label))
            else:
                piece = pieces[label]
                self._pieces[source].setdefault(piece[0], []).append((piece, target))

    def spell(self) -> Acceptor:
        for state, by_letter in self._pieces.items():
            for piece, target in itertools.chain.from_iterable(by_letter.values()):
                self._join(state, piece, target)
                if self._lexicon.id(piece) is None:
                    for words in self._lexicon.spellings(piece):
                        self._chain(state, words, target)
        return self._acceptor

    def _join(self, state: int, text: str, target: int) -> None:
        """Add the words that a text and what can follow it make."""
        waiting = [(text, target)]
        while waiting:
            joined, current = waiting.pop()
            if (word := self._lexicon.id(joined)) is not None:
                self._acceptor.arcs.add((state, current, word))
            following = self._pieces.get(current, {})
            for letter in self._lexicon.next_letters(joined) & following.keys():
                waiting.extend((joined + piece, after) for piece, after in following[letter])

    def _chain(self, state: int, words: Iterable[int], target: int) -> None:
        *first, last = words
        for word in first:
            following = self._acceptor.state()
            self._acceptor.arcs.add((state, following, word))
            state = following
        self._acceptor.arcs.add((state, target, last))
