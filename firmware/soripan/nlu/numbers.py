"""Numbers as they are spoken.

Korean counts with two sets of words: Sino-Korean ones (일, 이, 삼) for degrees, channels, minutes
and millilitres, native ones (한, 두, 세) for things and hours. The words come from the CLDR
rule-based number formats (package ``unicode_rbnf``).
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

from unicode_rbnf import RbnfEngine

NUMERALS: Final = {
    "sino": ("ko", ("spellout-cardinal-sinokorean",)),
    "native": ("ko", ("spellout-cardinal-native-attributive", "spellout-cardinal-native")),
    "english": ("en", ("spellout-cardinal",)),
}
"""Name of a set of number words: its language and CLDR rule sets."""

MINUS: Final = {"ko": "마이너스", "en": "minus"}
"""How the sign of a number below zero is spoken."""

DEFAULT_NUMERALS: Final = {"ko": "sino", "en": "english"}


_COUNTED: Final = (*range(101), 1000)
"""Numbers whose words are all that numbers are made of."""


def ends_in_number(text: str, language: str) -> bool:
    """Whether a number may go on after a text: "채널 이" of "채널 이십"."""
    numbers = _number_words(language)
    return text.endswith(numbers) if language == "ko" else text.rpartition(" ")[2] in numbers


def starts_with_number(text: str, language: str) -> bool:
    """Whether a text may go on with a number: "십 번" of "이십 번"."""
    numbers = _number_words(language)
    return text.startswith(numbers) if language == "ko" else text.partition(" ")[0] in numbers


@cache
def _number_words(language: str) -> tuple[str, ...]:
    words = {
        word
        for name, (spoken_in, _) in NUMERALS.items()
        for number in _COUNTED
        for way in (spoken(number, name) if spoken_in == language else ())
        for word in way.split()
    }
    return tuple(sorted(words))


@cache
def _engine(language: str) -> RbnfEngine:
    return RbnfEngine.for_language(language)


def spoken(number: int, numerals: str) -> Iterator[str]:
    """Yield the ways to say a number of at least 0, the usual one first, then its digits."""
    language, rule_sets = NUMERALS[numerals]
    texts = _engine(language).format_number(number, ruleset_names=list(rule_sets)).text_by_ruleset
    seen = [texts[name].replace("-", " ") for name in rule_sets]
    if numerals == "english" and number > 100 and number % 100:
        seen.append(seen[0].replace("hundred ", "hundred and "))
    yield from dict.fromkeys([*seen, str(number)])
