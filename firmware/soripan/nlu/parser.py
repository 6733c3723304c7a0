"""From a transcript to an intent: the cheapest path through the grammar.

White space does not count, because the recogniser splits Korean words as its lexicon does
("온도 를", "도 로") and people as they like. Literal text is free; each letter that an open slot
takes costs 1. So a sentence that the templates spell out wins over one that they merely allow, and
an open slot is as short as it can be.
"""

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soripan.nlu.grammar import Arc, Grammar, Kind, Mark
from soripan.nlu.intents import INTENTS, Intent, Slot
from soripan.nlu.text import normalise


@dataclass(frozen=True, slots=True)
class Parse:
    """A way to understand a text."""

    intent: Intent
    open_letters: int
    """How many letters were taken by open slots: 0 if the templates spell out the whole text."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A mark passed at a position of the text, and the one before it."""

    mark: Mark
    position: int
    before: "_Step | None"


class Parser:
    """Understands texts of one language."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        # Korean particles stick to the word before them, so an open slot may end inside a word.
        self._ends_at_words = grammar.language != "ko"
        self._letters = [[arc.text.replace(" ", "") for arc in arcs] for arcs in grammar.arcs]

    def parse(self, text: str) -> Parse | None:
        """Understand a text, or return None."""
        words = normalise(text).split()
        letters = "".join(words)
        # Where in the letters words begin, and the end.
        starts = list(itertools.accumulate((len(word) for word in words), initial=0))
        if not letters:
            return None
        found = self._search(letters, frozenset(starts))
        if found is None:
            return None
        cost, final, last = found
        template = self._grammar.finals[final]
        slots = dict(template.slots)
        slots.update(_Slots(words, starts).read(last))
        _set_defaults(slots, INTENTS[template.intent])
        return Parse(Intent(template.intent, slots), cost)

    def _search(self, text: str, starts: frozenset[int]) -> tuple[int, int, _Step | None] | None:
        """Dijkstra's algorithm over (state, position)."""
        order = itertools.count()  # of equals, the one written first in the templates
        heap: list[tuple[int, int, int, int, _Step | None]] = [(0, 0, 0, 0, None)]
        done: set[tuple[int, int]] = set()
        while heap:
            cost, _, state, position, step = heapq.heappop(heap)
            if (state, position) in done:
                continue
            done.add((state, position))
            if position == len(text) and state in self._grammar.finals:
                return cost, state, step
            letters = self._letters[state]
            for index, arc in enumerate(self._grammar.arcs[state]):
                if arc.any_letter:
                    if position < len(text):
                        entry = (cost + 1, next(order), arc.target, position + 1, step)
                        heapq.heappush(heap, entry)
                elif text.startswith(letters[index], position) and self._allowed(
                    arc, position, starts
                ):
                    after = position + len(letters[index])
                    passed = _Step(arc.mark, position, step) if arc.mark else step
                    heapq.heappush(heap, (cost, next(order), arc.target, after, passed))
        return None

    def _allowed(self, arc: Arc, position: int, starts: frozenset[int]) -> bool:
        """Whether an open slot may begin or end here."""
        if arc.mark is None:
            return True
        if arc.mark.kind is Kind.OPEN:
            return position in starts
        if arc.mark.kind is Kind.CLOSE:
            return not self._ends_at_words or position in starts
        return True


class _Slots:
    """Reads the slots off a path."""

    def __init__(self, words: Sequence[str], starts: Sequence[int]) -> None:
        self._words = words
        self._starts = starts

    def read(self, last: _Step | None) -> dict[str, Any]:
        steps = []
        while last is not None:
            steps.append(last)
            last = last.before
        slots: dict[str, Any] = {}
        target, opened = slots, 0
        for step in reversed(steps):
            slot = step.mark.slot
            match step.mark.kind:
                case Kind.OBJECT:
                    target = {}
                case Kind.END_OBJECT:
                    slots.setdefault(slot, []).append(target)
                    target = slots
                case Kind.OPEN:
                    opened = step.position
                case Kind.CLOSE:
                    target[slot] = self._between(opened, step.position)
                case Kind.VALUE:
                    target[slot] = _add(target.get(slot), step.mark.value)
        return slots

    def _between(self, begin: int, end: int) -> str:
        """The text between two positions, with its spaces."""
        parts = []
        for word, start in zip(self._words, self._starts, strict=False):
            part = word[max(begin - start, 0) : max(end - start, 0)]
            if part:
                parts.append(part)
        return " ".join(parts)


def _set_defaults(slots: dict[str, Any], contract: Mapping[str, Slot]) -> None:
    for name, slot in contract.items():
        if slot.default is not None:
            slots.setdefault(name, slot.default)
        for inner in slots.get(name, ()) if slot.fields else ():
            _set_defaults(inner, slot.fields)


def _add(old: Any, new: Any) -> Any:
    """Numbers given twice for one slot add up: an hour and thirty minutes."""
    return old + new if isinstance(old, int) and isinstance(new, int) else new
