"""How large a listening graph is, and how hard the recogniser searches it."""

import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """A size of the listening graph. Costs are negative natural logarithms."""

    name: str
    words: int
    """How many of the likeliest words of the language model the open part has; every word of one
    syllable comes on top, because any name can be put together from those."""
    bigrams: int
    """How many of its pairs of words, those that matter most."""
    command_cost: float
    """Added to every command: higher rejects more."""
    slot_cost: float
    """Added where an open slot begins, and where it ends."""
    beam: float
    """How much worse than the best a path may be before it is given up. The stock models' 10 is
    meant for their slow graphs and loses what this one would still find."""
    lattice_beam: float
    """How much worse than the best a reading may be: enough that a command and what else it could
    have been stand side by side."""
    max_active: int
    """How many paths are followed at once."""
    memory: int
    """MB that a board should have for it."""


def _profile(
    name: str, words: int, bigrams: int, beam: float, lattice_beam: float, memory: int
) -> Profile:
    return Profile(
        name=name,
        words=words,
        bigrams=bigrams,
        command_cost=-2.0,
        slot_cost=6.0,
        beam=beam,
        lattice_beam=lattice_beam,
        max_active=7000,
        memory=memory,
    )


PROFILES: Final = {
    each.name: each
    for each in (
        _profile("full", 70_000, 120_000, beam=13.0, lattice_beam=6.0, memory=1500),
        _profile("medium", 34_000, 30_000, beam=11.0, lattice_beam=4.0, memory=700),
        _profile("lite", 5_000, 0, beam=13.0, lattice_beam=6.0, memory=0),
    )
}
"""From the largest to the smallest. ``full`` and ``medium`` write down anything that is said;
``lite`` is for boards with 512 MB: what is no command it hears well enough to know that it is none,
not well enough to pass it on. Narrower beams save a third of the work and a tenth of the memory;
``medium`` has them to fit beside others into 1 GB, ``lite`` would let too much through."""


PHRASES: Final = Profile(
    name="phrases",
    words=2_000,
    bigrams=0,
    command_cost=4.0,
    slot_cost=0.0,
    beam=10.0,
    lattice_beam=6.0,
    max_active=1000,
    memory=0,
)
"""For wake words that are phrases: listens all day, so it searches little."""


def fitting() -> Profile:
    """The largest that this board has the memory for."""
    memory = board_memory()
    return next(each for each in PROFILES.values() if memory >= each.memory)


def board_memory() -> int:
    """Memory of this machine, MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000
