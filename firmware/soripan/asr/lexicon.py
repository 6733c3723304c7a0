"""The words a recogniser can write.

It only ever writes words of its lexicon. The Korean one splits words as it likes ("온도 를",
"주문 해 줘") and has nearly every syllable as a word of its own, so a Korean word that it lacks can
still be put together from shorter ones; any other word must be in it as it is.
"""

import bisect
import difflib
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Final

_HANGUL: Final = re.compile(r"[가-힣]+")
_LAST: Final = chr(0x10FFFF)
_LONGEST: Final = 8
"""Syllables of the longest word that others are put together from."""


class Lexicon:
    """Words with their ids.

    Args:
        find: gives the id of a word, or None.
        words: all of them; only for :meth:`next_letters` and :meth:`nearest`.
    """

    def __init__(self, find: Callable[[str], int | None], words: Iterable[str] = ()) -> None:
        self._find = find
        self._words = words
        self._next_letters: dict[str, frozenset[str]] = {}

    def id(self, word: str) -> int | None:
        """The id of a normalised word, or None.

        Latin words are in the Korean lexicon in capitals (HDMI), in the English one in small
        letters.
        """
        found = self._find(word)
        return self._find(word.upper()) if found is None else found

    def next_letters(self, text: str) -> frozenset[str]:
        """The letters with which a text goes on in longer words."""
        if (known := self._next_letters.get(text)) is None:
            begin = bisect.bisect_right(self._sorted, text)
            end = bisect.bisect_left(self._sorted, text + _LAST, lo=begin)
            known = frozenset(word[len(text)] for word in self._sorted[begin:end])
            self._next_letters[text] = known
        return known

    def spellings(self, word: str) -> list[tuple[int, ...]]:
        """All ways to put a word together from as few words as possible; none if it cannot be."""
        if (whole := self.id(word)) is not None:
            return [(whole,)]
        if not _HANGUL.fullmatch(word):
            return []
        # best[i]: the shortest ways to write the first i syllables.
        best: list[list[tuple[int, ...]]] = [[()]]
        for end in range(1, len(word) + 1):
            ways = [
                (*way, found)
                for start in range(max(0, end - _LONGEST), end)
                if (found := self._find(word[start:end])) is not None
                for way in best[start]
            ]
            fewest = min(map(len, ways), default=0)
            best.append([way for way in ways if len(way) == fewest])
        return best[-1]

    def nearest(self, word: str) -> tuple[str, ...]:
        """The words that look most like one, at most three; takes a second."""
        found = difflib.get_close_matches(word, self._folded, n=3, cutoff=0.6)
        return tuple(self._folded[each] for each in found)

    @cached_property
    def _folded(self) -> dict[str, str]:
        """The words by what they are in small letters, without digits and signs."""
        return {word.casefold(): word for word in self._words if word.isalpha()}

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._words)
