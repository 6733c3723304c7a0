"""What people say most costs least: weights of the commands, learnt from examples.

Without examples, each way in which a command can go on is equally likely, and "켜 줘" shares its
probability with all that politeness has to offer.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from soripan.asr.acceptor import OPEN, Acceptor
from soripan.nlu.text import normalise

Arc = tuple[int, int, int]

_EXPECTED: Final = 3.0
"""How many examples weigh as much as knowing nothing: additive smoothing, at each state."""


def weigh(commands: Acceptor, examples: Iterable[str], words: Sequence[str]) -> dict[Arc, float]:
    """The cost of each arc, a negative natural logarithm; those that leave a state make up 1.

    Args:
        commands: the acceptor.
        examples: sentences as people write them. Those that it does not take count for nothing.
        words: by id.
    """
    arcs: dict[int, list[Arc]] = defaultdict(list)
    for arc in sorted(commands.arcs):
        arcs[arc[0]].append(arc)
    counts: Counter[Arc] = Counter()
    for example in examples:
        counts.update(_passed(commands, arcs, normalise(example).replace(" ", ""), words))
    costs = {}
    for leaving in arcs.values():
        total = sum(counts[arc] for arc in leaving) + _EXPECTED
        for arc in leaving:
            costs[arc] = -math.log((counts[arc] + _EXPECTED / len(leaving)) / total)
    return costs


def _passed(
    commands: Acceptor, arcs: Mapping[int, Sequence[Arc]], text: str, words: Sequence[str]
) -> dict[Arc, float]:
    """How often a text passes each arc; of several spellings each counts in part.

    Free text is left out: examples cannot tell what will be said there.
    """
    start = (0, 0)
    nodes, seen, steps = [start], {start}, defaultdict(list)
    for node in nodes:  # grows while it is read
        state, position = node
        for arc in arcs.get(state, ()):
            word = words[arc[2]].casefold() if arc[2] != OPEN else ""
            if word and text.startswith(word, position):
                after = arc[1], position + len(word)
                if after not in seen:
                    seen.add(after)
                    nodes.append(after)
                steps[node].append((after, arc))
    # How many spellings of the rest there are from each node, the last nodes first.
    ways: dict[tuple[int, int], int] = {}
    for node in sorted(nodes, key=lambda each: -each[1]):
        done = node[1] == len(text) and node[0] in commands.finals
        ways[node] = done + sum(ways[after] for after, _ in steps[node])
    share = defaultdict(float, {start: 1.0})
    passed: dict[Arc, float] = defaultdict(float)
    for node in sorted((each for each in nodes if ways[each]), key=lambda each: each[1]):
        for after, arc in steps[node]:
            part = share[node] * ways[after] / ways[node]
            share[after] += part
            passed[arc] += part
    return {arc: part for arc, part in passed.items() if part}
