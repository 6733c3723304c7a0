"""Sentences made from a grammar: random walks through its arcs."""

import random
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any, Final

from soripan.nlu.grammar import Arc, Grammar, Kind, Mark
from soripan.nlu.intents import INTENTS, Intent

_LONG: Final = 60
"""Arcs after which a walk takes the shortest way to the end."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sentence and what it means."""

    pieces: tuple[str, ...]
    """Between any two of them there may be white space or none."""
    intent: Intent

    @property
    def text(self) -> str:
        return " ".join(self.pieces)


class Sampler:
    """Makes sentences of a grammar; ``letters`` are those of which open slots are made."""

    def __init__(self, grammar: Grammar, letters: str) -> None:
        self._grammar = grammar
        self._letters = letters
        self._sources: dict[int, set[int]] = defaultdict(set)
        for source, arcs in enumerate(grammar.arcs):
            for arc in arcs:
                self._sources[arc.target].add(source)
        self._distances = {final: self._to(final) for final in grammar.finals}

    def sample(self, rng: random.Random) -> Sample:
        """A sentence of any template, each as likely as the others."""
        final = rng.choice(list(self._grammar.finals))
        arcs = self._walk(final, rng)
        template = self._grammar.finals[final]
        pieces, slots = self._read(arcs, rng)
        slots = {**template.slots, **slots}
        for name, slot in INTENTS[template.intent].items():
            if slot.default is not None:
                slots.setdefault(name, slot.default)
        return Sample(tuple(pieces), Intent(template.intent, slots))

    def _to(self, final: int) -> dict[int, int]:
        """How many arcs it is to the end, for all states on the way."""
        distances, queue = {final: 0}, deque([final])
        while queue:
            state = queue.popleft()
            for source in self._sources[state]:
                if source not in distances:
                    distances[source] = distances[state] + 1
                    queue.append(source)
        return distances

    def _walk(self, final: int, rng: random.Random) -> list[Arc]:
        distances, state, walk = self._distances[final], 0, list[Arc]()
        while state != final:
            ways = [arc for arc in self._grammar.arcs[state] if arc.target in distances]
            if len(walk) > _LONG:
                ways = [min(ways, key=lambda arc: distances[arc.target])]
            walk.append(rng.choice(ways))
            state = walk[-1].target
        return walk

    def _read(self, arcs: list[Arc], rng: random.Random) -> tuple[list[str], dict[str, Any]]:
        pieces: list[str] = []
        slots: dict[str, Any] = {}
        target = slots
        for arc in arcs:
            if arc.any_letter:
                pieces[-1] += rng.choice(self._letters)
            elif arc.text:
                pieces.append(arc.text.strip())
            match arc.mark:
                case Mark(Kind.OBJECT):
                    target = {}
                case Mark(Kind.END_OBJECT, slot):
                    if slot == "items":
                        target.setdefault("quantity", 1)
                    slots.setdefault(slot, []).append(target)
                    target = slots
                case Mark(Kind.OPEN):
                    pieces.append("")
                case Mark(Kind.CLOSE, slot):
                    target[slot] = pieces[-1]
                case Mark(Kind.VALUE, slot, value):
                    number = isinstance(value, int) and slot in target
                    target[slot] = target[slot] + value if number else value
        return pieces, slots
