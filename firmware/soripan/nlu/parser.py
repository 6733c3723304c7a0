"""From a transcript to an intent: the cheapest path through the grammar.

White space does not count, because the recogniser splits Korean words as its lexicon does
("온도 를", "도 로") and people as they like. Literal text is free; each letter that an open slot
takes costs something. So a sentence that the templates spell out wins over one that they merely
allow, and an open slot is as short as it can be.
"""

import heapq
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from soripan.nlu.correction import corrected
from soripan.nlu.grammar import Arc, Grammar, Kind, Mark
from soripan.nlu.intents import INTENTS, Intent, Slot
from soripan.nlu.numbers import MINUS
from soripan.nlu.text import normalise

_LONGEST: Final = 200
"""Letters beyond which a text is not looked at: more than anybody says in one go."""
_CERTAIN: Final = frozenset({"Yes", "Digits"})
"""What must be meant, and is never what a correction leaves: "아니 어" is no yes."""
_SIGN: Final = re.compile(r"(?<!\S)[-−](?=\d)")


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
        self._steps = [_by_letter(arcs) for arcs in grammar.arcs]

    def parse(self, text: str) -> Parse | None:
        """Understand a text, or return None. What the speaker took back again does not count."""
        understood = self._understand(text)
        return understood[1] if understood is not None else None

    def _understand(self, text: str) -> tuple[list[str], Parse] | None:
        """What a text means, and the words that say so."""
        words = self._words(text)
        best = self._parse(words)
        if best is not None and not best.open_letters:
            return words, best
        for instead in corrected(words, self._grammar.corrections, self._grammar.language):
            parse = self._parse(instead)
            if parse is None or parse.open_letters or parse.intent.name in _CERTAIN:
                continue
            return instead, parse
        return (words, best) if best is not None else None

    def _parse(self, words: Sequence[str]) -> Parse | None:
        letters = "".join(words)
        # Where in the letters words begin, and the end.
        starts = list(itertools.accumulate((len(word) for word in words), initial=0))
        if not 0 < len(letters) <= _LONGEST:
            return None
        found = self._search(letters, frozenset(starts))
        if found is None:
            return None
        reader = _Slots(words, starts)
        return Parse(self._meaning(*found, reader), reader.open_letters)

    def settled(self, text: str) -> Intent | None:
        """What a text means, if it is a sentence that means the same however it may go on, unless
        it is taken back.

        "소리 줄여" is: "줘" or "주세요" may follow, and change nothing. "채널 이십" is not: "오 번"
        may follow. Neither is a sentence with free text, for that can always go on.
        """
        understood = self._understand(text)
        if understood is None or understood[1].open_letters:
            return None
        words, parse = understood
        reader = _Slots(words, list(itertools.accumulate(map(len, words), initial=0)))
        for state, step in self._going_on("".join(words)):
            for final in self._finals_from(state):
                if final is None or self._meaning(final, step, reader) != parse.intent:
                    return None
        return parse.intent

    def _words(self, text: str) -> list[str]:
        return normalise(_SIGN.sub(f"{MINUS[self._grammar.language]} ", text)).split()

    def _meaning(self, final: int, last: _Step | None, reader: "_Slots") -> Intent:
        template = self._grammar.finals[final]
        slots = dict(template.slots)
        slots.update(reader.read(last))
        _set_defaults(slots, INTENTS[template.intent])
        return Intent(template.intent, slots)

    def _going_on(self, text: str) -> Iterator[tuple[int, _Step | None]]:
        """Where a longer text may be once it took its next letters, with the marks passed in the
        text. Free text is left out: it would go on everywhere."""
        waiting: list[tuple[int, int, _Step | None]] = [(0, 0, None)]
        seen: set[tuple[int, int, _Step | None]] = set(waiting)
        while waiting:
            state, position, step = waiting.pop()
            for arc in self._grammar.arcs[state]:
                letters = arc.text.replace(" ", "")
                rest = text[position : position + len(letters)]
                if arc.any_letter or not letters.startswith(rest):
                    continue
                if len(rest) < len(letters):
                    yield arc.target, step
                    continue
                passed = _Step(arc.mark, position, step) if arc.mark else step
                entry = (arc.target, position + len(letters), passed)
                if entry not in seen:
                    seen.add(entry)
                    waiting.append(entry)

    def _finals_from(self, state: int) -> Iterator[int | None]:
        """The ends that can be reached from a state; None if the meaning may change on the way."""
        waiting, seen = [state], {state}
        while waiting:
            state = waiting.pop()
            if state in self._grammar.finals:
                yield state
            for arc in self._grammar.arcs[state]:
                if arc.mark is not None:
                    yield None
                if arc.target not in seen:
                    seen.add(arc.target)
                    waiting.append(arc.target)

    def _search(self, text: str, starts: frozenset[int]) -> tuple[int, _Step | None] | None:
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
                return state, step
            here = text[position : position + 1]
            for arc, letters in self._steps[state].get(here, self._steps[state][""]):
                if arc.any_letter:
                    if here:
                        entry = (cost + arc.cost, next(order), arc.target, position + 1, step)
                        heapq.heappush(heap, entry)
                elif text.startswith(letters, position) and self._allowed(arc, position, starts):
                    after = position + len(letters)
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


def _by_letter(arcs: Sequence[Arc]) -> dict[str, list[tuple[Arc, str]]]:
    """The arcs that may be taken before a letter, with what they take; under "" before any other.

    Without this, every list with all its values would be tried at every letter.
    """
    steps: dict[str, list[tuple[Arc, str]]] = {"": []}
    for arc in arcs:
        letters = arc.text.replace(" ", "")
        if letters:
            steps.setdefault(letters[0], list(steps[""])).append((arc, letters))
        else:
            for each in steps.values():
                each.append((arc, letters))
    return steps


class _Slots:
    """Reads the slots off a path."""

    def __init__(self, words: Sequence[str], starts: Sequence[int]) -> None:
        self._words = words
        self._starts = starts
        self.open_letters = 0
        """How many letters the open slots took."""

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
                    self.open_letters += step.position - opened
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
