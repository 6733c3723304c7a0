"""The templates of a language as one acceptor.

Lists, options, alternatives and number ranges become branches of a graph, not an enumeration of
sentences: its size grows with what is written in the templates, not with how many sentences they
describe. The parser finds the cheapest path of a transcript through it.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from hassil import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RuleReference,
    TextChunk,
)

from soripan.nlu.numbers import spoken
from soripan.nlu.templates import IntentTemplate, OpenList, RangeList, Templates
from soripan.nlu.text import normalise


class Kind(Enum):
    """What a mark on a path says."""

    VALUE = auto()
    """The slot has this value."""
    OPEN = auto()
    """Here begins the free text of the slot."""
    CLOSE = auto()
    """Here it ends."""
    OBJECT = auto()
    """Here begins an object of the slot, a list of objects."""
    END_OBJECT = auto()
    """Here it ends."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A note on an arc about a slot."""

    kind: Kind
    slot: str
    value: str | int | None = None


@dataclass(frozen=True, slots=True)
class Arc:
    """A step from one state to another. It takes ``text``, any one letter, or nothing.

    Only a step that takes any letter costs something.
    """

    target: int
    text: str = ""
    """Normalised; a space at an end says that a word begins or ends there."""
    any_letter: bool = False
    cost: int = 0
    mark: Mark | None = None


@dataclass(slots=True)
class Grammar:
    """States are indices of ``arcs``; the first is the start."""

    language: str
    arcs: list[list[Arc]] = field(default_factory=lambda: [[]])
    finals: dict[int, IntentTemplate] = field(default_factory=dict)
    """States in which a sentence is complete, with the template that says so."""
    numbers: list[tuple[int, int]] = field(default_factory=list)
    """Where numbers begin, and where they end."""
    corrections: tuple[str, ...] = ()
    """What takes back what was said before it, normalised."""
    examples: tuple[str, ...] = ()
    """Sentences that people say most; not all of them need be in the grammar."""


def compile_grammar(templates: Templates) -> Grammar:
    """Build the acceptor of all sentences."""
    return _Compiler(templates).compile()


class _Compiler:
    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._grammar = Grammar(
            templates.language, corrections=templates.corrections, examples=templates.examples
        )
        self._numbers: dict[tuple[int, tuple[str, ...]], list[tuple[str, ...]]] = {}

    def compile(self) -> Grammar:
        for sentence in self._templates.sentences:
            end = self._build(sentence.template.expression, 0)
            # A state of its own, so that no two sentences share an end.
            final = self._state()
            self._arc(end, Arc(final))
            self._grammar.finals[final] = sentence
        return self._grammar

    def _state(self) -> int:
        self._grammar.arcs.append([])
        return len(self._grammar.arcs) - 1

    def _arc(self, source: int, arc: Arc) -> int:
        self._grammar.arcs[source].append(arc)
        return arc.target

    def _step(self, source: int, **label: Any) -> int:
        return self._arc(source, Arc(self._state(), **label))

    def _build(self, expression: Expression, start: int) -> int:
        """Append the expression after a state; return the state after it."""
        if isinstance(expression, TextChunk):
            return self._text(expression.text, start)
        if isinstance(expression, RuleReference):
            return self._rule(expression.rule_name, start)
        if isinstance(expression, ListReference):
            return self._list(expression, start)
        if isinstance(expression, Alternative):
            return self._join(self._build(item, start) for item in expression.items)
        if isinstance(expression, Permutation):
            orders = itertools.permutations(expression.items)
            return self._join(self._sequence(order, start) for order in orders)
        if isinstance(expression, Group):
            return self._sequence(expression.items, start)
        raise TypeError(f"hassil gave an expression unknown here: {expression!r}")

    def _sequence(self, items: Iterable[Expression], start: int) -> int:
        for item in items:
            start = self._build(item, start)
        return start

    def _join(self, ends: Iterable[int]) -> int:
        join = self._state()
        # In the order of the template, so that the first of equals wins.
        for end in list(ends):
            self._arc(end, Arc(join))
        return join

    def _text(self, text: str, start: int) -> int:
        words = normalise(text)
        if not words:
            return start
        return self._step(start, text=f"{' ' * text[0].isspace()}{words}{' ' * text[-1].isspace()}")

    def _rule(self, name: str, start: int) -> int:
        rule = self._templates.rules[name]
        slot = self._templates.collect.get(name)
        repeat = name in self._templates.repeat
        if repeat:
            start = self._step(start)  # a state of its own, so that only this rule leads back to it
        if slot is None:
            end = self._build(rule.expression, start)
        else:
            begin = self._step(start, mark=Mark(Kind.OBJECT, slot))
            inner = self._build(rule.expression, begin)
            end = self._step(inner, mark=Mark(Kind.END_OBJECT, slot))
        if repeat:
            self._arc(end, Arc(start))
            end = self._step(end)  # what follows must not begin inside the loop
        return end

    def _list(self, reference: ListReference, start: int) -> int:
        entry, slot = self._templates.lists[reference.list_name], reference.slot_name
        if isinstance(entry, OpenList):
            begin = self._step(start, mark=Mark(Kind.OPEN, slot))
            inside = self._step(begin, any_letter=True, cost=entry.cost)
            self._arc(inside, Arc(inside, any_letter=True, cost=entry.cost))
            return self._step(inside, mark=Mark(Kind.CLOSE, slot))
        if isinstance(entry, RangeList):
            return self._range(entry, slot, start)
        end = self._state()
        for value in entry.values:
            said = self._build(value.template.expression, start)
            self._arc(said, Arc(end, mark=Mark(Kind.VALUE, slot, value.value)))
        return end

    def _range(self, entry: RangeList, slot: str, start: int) -> int:
        """A tree of letters: numbers that begin alike share the beginning."""
        root = self._step(start)
        end = self._state()
        self._grammar.numbers.append((root, end))
        branches: dict[tuple[int, str], int] = {}
        for number in range(entry.start, entry.stop + 1, entry.step):
            mark = Mark(Kind.VALUE, slot, number * entry.multiplier)
            for units in self._spoken(number, entry.numerals):
                state = root
                for word in units:
                    if (state, word) not in branches:
                        branches[state, word] = self._step(state, text=word)
                    state = branches[state, word]
                self._arc(state, Arc(end, mark=mark))
        return end

    def _spoken(self, number: int, numerals: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
        """The ways to say a number, each as what it is built of: syllables, or English words."""
        key = number, numerals
        if key not in self._numbers:
            ways = dict.fromkeys(words for name in numerals for words in spoken(number, name))
            korean = self._templates.language == "ko"
            units = (tuple(words.replace(" ", "") if korean else words.split()) for words in ways)
            self._numbers[key] = list(dict.fromkeys(units))
        return self._numbers[key]
