"""Slips of the tongue: who says "볼륨 이십 아니 이십오로 해 줘" wants 25.

A correction has three parts: what was said wrongly, the words that take it back ("아니", "말고"),
and what is said instead. How far back the last part reaches nobody says; so it takes the place of
as little as leaves a sentence that means something. (Shriberg, "Preliminaries to a theory of
speech disfluencies", 1994, calls the parts reparandum, interregnum and repair.)
"""

from collections.abc import Iterator, Sequence
from typing import Final

from soripan.nlu.numbers import ends_in_number, starts_with_number

_FURTHEST: Final = 12
"""How many letters, or English words, a correction replaces, unless it is a whole sentence."""


def corrected(
    words: Sequence[str], corrections: Sequence[str], language: str
) -> Iterator[list[str]]:
    """What a text with a correction may mean, the likeliest first, as words.

    White space does not count in Korean, so there each letter is a word.

    Args:
        words: of the text, normalised.
        corrections: what takes back what was said before it, normalised.
        language: of the text. Its numbers are replaced as a whole.
    """
    korean = language == "ko"
    parts = list("".join(words)) if korean else list(words)
    taken_back = [list(c.replace(" ", "")) if korean else c.split() for c in corrections]
    found = _last(parts, taken_back)
    if found is None or found[1] == len(parts):
        return
    before, after = parts[: found[0]], parts[found[1] :]
    space = "" if korean else " "
    for kept in range(len(before) - 1, max(0, len(before) - _FURTHEST - 1), -1):
        first, rest = space.join(before[:kept]), space.join(before[kept:])
        if not (ends_in_number(first, language) and starts_with_number(rest, language)):
            yield before[:kept] + after
    yield after


def _last(parts: Sequence[str], taken_back: Sequence[Sequence[str]]) -> tuple[int, int] | None:
    """Where the last correction begins and ends; of several in one place, the longest."""
    places = (
        (begin, begin + len(each))
        for each in taken_back
        for begin in range(len(parts) - len(each) + 1)
        if list(parts[begin : begin + len(each)]) == list(each)
    )
    return max(places, default=None)
