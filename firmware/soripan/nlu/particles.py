"""Korean particles that depend on the last sound of the word before them."""

from typing import Final

PARTICLES: Final = frozenset(
    {
        "을/를",
        "이/가",
        "은/는",
        "과/와",
        "으로/로",
        "이랑/랑",
        "이에요/예요",
        "이라고/라고",
        "아/야",
    }
)
"""The pairs: first the form after a consonant, then the one after a vowel."""

_VOWEL, _RIEUL, _CONSONANT = range(3)

_DIGITS: Final = dict(
    zip("0123456789", (2, 1, 0, 2, 0, 0, 2, 1, 1, 0), strict=True)
)  # 영 일 이 삼 사 오 육 칠 팔 구; and a number that ends in 0 ends in 십, 백, 천, 만 or 억
_LETTERS: Final = {"l": _RIEUL, "r": _RIEUL, "m": _CONSONANT, "n": _CONSONANT}  # 엘 알 엠 엔
_ENDINGS: Final = {"l": _RIEUL, "le": _RIEUL} | dict.fromkeys("mnkptcb", _CONSONANT)


def choose(particle: str, before: str) -> str:
    """The form of a particle that fits after a text.

    Hangul is read as it is written, digits as Sino-Korean numbers, Latin capitals by their names
    (TV: 티브이), and other Latin words by their last letter as loan words mostly end.
    """
    closed, opened = particle.split("/")
    sound = _last_sound(before)
    if sound == _RIEUL and opened == "로":
        return opened
    return opened if sound == _VOWEL else closed


def _last_sound(text: str) -> int:
    while text and not text[-1].isalnum():
        text = text[:-1]
    last = text[-1:]
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28
        return {0: _VOWEL, 8: _RIEUL}.get(final, _CONSONANT)
    if last in _DIGITS:
        return _DIGITS[last]
    word = text
    for index, letter in enumerate(reversed(text)):
        if not (letter.isascii() and letter.isalpha()):
            word = text[len(text) - index :]
            break
    if word.isupper():
        return _LETTERS.get(last.lower(), _VOWEL)
    if word.endswith("ng"):
        return _CONSONANT
    return _ENDINGS.get(word[-2:].lower(), _ENDINGS.get(last.lower(), _VOWEL))
