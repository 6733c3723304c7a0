"""Hangul to IPA for a speech synthesiser.

The sound changes are those of Standard Korean pronunciation (표준 발음법, National Institute of
Korean Language); the numbers in the comments are its articles. Digits must be written out in
Hangul. What the spelling does not show (a tense ㄱ in "열 개", an inserted ㄴ in "깻잎") is in
`IRREGULAR`.
"""

import itertools
import re
from dataclasses import dataclass

ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
CODAS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"

FIRST_SYLLABLE, LAST_SYLLABLE = 0xAC00, 0xD7A3

# 8-11: the seven sounds a syllable can end in.
NEUTRAL = {
    **dict.fromkeys("ㄱㄲㅋㄳㄺ", "ㄱ"),
    **dict.fromkeys("ㄷㅅㅆㅈㅊㅌㅎ", "ㄷ"),
    **dict.fromkeys("ㅂㅍㅄㄿ", "ㅂ"),
    **dict.fromkeys("ㄴㄵㄶ", "ㄴ"),
    **dict.fromkeys("ㄹㄼㄽㄾㅀ", "ㄹ"),
    **dict.fromkeys("ㅁㄻ", "ㅁ"),
    "ㅇ": "ㅇ",
    "": "",
}
CLUSTERS = {
    "ㄳ": ("ㄱ", "ㅅ"),
    "ㄵ": ("ㄴ", "ㅈ"),
    "ㄶ": ("ㄴ", "ㅎ"),
    "ㄺ": ("ㄹ", "ㄱ"),
    "ㄻ": ("ㄹ", "ㅁ"),
    "ㄼ": ("ㄹ", "ㅂ"),
    "ㄽ": ("ㄹ", "ㅅ"),
    "ㄾ": ("ㄹ", "ㅌ"),
    "ㄿ": ("ㄹ", "ㅍ"),
    "ㅀ": ("ㄹ", "ㅎ"),
    "ㅄ": ("ㅂ", "ㅅ"),
}
TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
ASPIRATED = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
PALATAL = {"ㄷ": "ㅈ", "ㅌ": "ㅊ", "ㄾ": "ㅊ"}

# Spelling -> sound where meaning or history decides: 27 (tense after -ㄹ), 28, 29 (ㄴ inserted).
IRREGULAR = [
    (re.compile(pattern), spoken)
    for pattern, spoken in (
        (r"깻잎", "깬닙"),
        (r"(열|여덟) (?=개|병|봉지|단|번|시)", r"\1 +"),
        (r"열(?=다섯|두|둘|세|셋)", "열+"),
        (r"(할|갈|살|볼|올|먹을|있을|될)( ?)(?=거|게|것|수)", r"\1\2+"),
        (r"십육", "심뉵"),
        (r"물고기", "물꼬기"),
        (r"김밥", "김빱"),
        (r"비빔밥", "비빔빱"),
        (r"맛있", "마싰"),
        (r"멋있", "머싰"),
    )
]

# ㅐ and ㅔ sound alike to most speakers today.
VOWEL_IPA = {
    "ㅏ": "a", "ㅐ": "e", "ㅑ": "ja", "ㅒ": "je", "ㅓ": "ʌ", "ㅔ": "e", "ㅕ": "jʌ",
    "ㅖ": "je", "ㅗ": "o", "ㅘ": "wa", "ㅙ": "we", "ㅚ": "we", "ㅛ": "jo", "ㅜ": "u",
    "ㅝ": "wɔ", "ㅞ": "we", "ㅟ": "wi", "ㅠ": "ju", "ㅡ": "ɯ", "ㅢ": "ɰi", "ㅣ": "i",
}  # fmt: skip
# Tense and plain stops share a symbol: the synthesiser's alphabet has none for the tense ones.
ONSET_IPA = {
    "ㄱ": "k", "ㄲ": "k", "ㅋ": "kʰ", "ㄷ": "t", "ㄸ": "t", "ㅌ": "tʰ", "ㅂ": "p", "ㅃ": "p",
    "ㅍ": "pʰ", "ㅈ": "ʨ", "ㅉ": "ʨ", "ㅊ": "ʨʰ", "ㅅ": "s", "ㅆ": "s", "ㅎ": "h", "ㄴ": "n",
    "ㅁ": "m", "ㄹ": "ɾ", "ㅇ": "",
}  # fmt: skip
VOICED_IPA = {"ㄱ": "ɡ", "ㄷ": "d", "ㅂ": "b", "ㅈ": "ʥ"}
CODA_IPA = {"ㄱ": "k", "ㄴ": "n", "ㄷ": "t", "ㄹ": "l", "ㅁ": "m", "ㅂ": "p", "ㅇ": "ŋ", "": ""}


@dataclass
class Syllable:
    """One syllable as sounds, not as spelling: `onset` ㅇ is silent, `coda` may be empty."""

    onset: str
    vowel: str
    coda: str
    starts_word: bool = False


def to_ipa(text: str) -> str:
    """Turn Korean text into IPA; punctuation ends a stretch of linked sounds and is kept."""
    for pattern, spoken in IRREGULAR:
        text = pattern.sub(spoken, text)
    parts = re.split(r"\s*([,.?!])\s*", text.strip())
    return "".join(
        f"{part} " if part in ",.?!" else _phrase_to_ipa(part) for part in parts if part
    ).strip()


def _phrase_to_ipa(phrase: str) -> str:
    syllables = _decompose(phrase)
    for left, right in itertools.pairwise(syllables):
        _link(left, right)
    if syllables:
        syllables[-1].coda = NEUTRAL[syllables[-1].coda]
    ipa = ""
    previous: Syllable | None = None
    for syllable in syllables:
        if previous is not None and syllable.starts_word:
            ipa += " "
        ipa += _spell(syllable, previous)
        previous = syllable
    return ipa


def _decompose(phrase: str) -> list[Syllable]:
    syllables: list[Syllable] = []
    starts_word = tense = False
    for character in phrase:
        if character == "+":  # from IRREGULAR: the next onset is tense, and still a new word
            tense = True
            continue
        if character == " ":
            starts_word = True
            continue
        if not FIRST_SYLLABLE <= ord(character) <= LAST_SYLLABLE:
            raise ValueError(f"not Hangul: {character!r} in {phrase!r}")
        index = ord(character) - FIRST_SYLLABLE
        onset = ONSETS[index // 588]
        if tense:
            onset = TENSE.get(onset, onset)
        syllables.append(
            Syllable(onset, VOWELS[index % 588 // 28], CODAS[index % 28].strip(), starts_word)
        )
        starts_word = tense = False
    return syllables


def _link(left: Syllable, right: Syllable) -> None:
    """Let the end of `left` and the start of `right` change each other."""
    if right.starts_word:  # 15: a word's end is neutralised before it links to the next word
        left.coda = NEUTRAL[left.coda]
    else:
        _palatalise(left, right)
    if left.coda in ("ㅎ", "ㄶ", "ㅀ"):
        _link_h(left, right)
    if right.onset == "ㅎ":
        _aspirate(left, right)
    if right.onset == "ㅇ":
        _liaise(left, right)
    else:
        _assimilate(left, right)


def _palatalise(left: Syllable, right: Syllable) -> None:  # 17
    if left.coda in PALATAL and right.vowel in "ㅣㅕ":
        if right.onset == "ㅇ":
            right.onset = PALATAL[left.coda]
            left.coda = "ㄹ" if left.coda == "ㄾ" else ""
        elif right.onset == "ㅎ":
            left.coda, right.onset = "", "ㅊ"


def _link_h(left: Syllable, right: Syllable) -> None:  # 12
    left.coda = CLUSTERS[left.coda][0] if left.coda in CLUSTERS else ""
    if right.onset in ASPIRATED:
        right.onset = ASPIRATED[right.onset]
    elif right.onset == "ㅅ":
        right.onset = "ㅆ"
    elif right.onset == "ㄴ" and not left.coda:
        left.coda = "ㄴ"


def _aspirate(left: Syllable, right: Syllable) -> None:  # 12
    rest, last = CLUSTERS.get(left.coda, ("", left.coda))
    if last not in ("ㅈ", "ㅂ"):
        last = NEUTRAL[last]
    if last in ASPIRATED:
        left.coda, right.onset = rest, ASPIRATED[last]


def _liaise(left: Syllable, right: Syllable) -> None:  # 13, 14
    if left.coda in CLUSTERS:
        left.coda, moved = CLUSTERS[left.coda]
        right.onset = "ㅆ" if moved == "ㅅ" else moved
    elif left.coda not in ("", "ㅇ"):
        left.coda, right.onset = "", left.coda


def _assimilate(left: Syllable, right: Syllable) -> None:
    if NEUTRAL[left.coda] in NASAL or left.coda in ("ㄵ", "ㄻ", "ㄼ", "ㄾ"):  # 23-25
        right.onset = TENSE.get(right.onset, right.onset)
    left.coda = NEUTRAL[left.coda]
    if right.onset == "ㄹ" and left.coda not in ("", "ㄴ", "ㄹ"):  # 19
        right.onset = "ㄴ"
    if right.onset in ("ㄴ", "ㅁ"):  # 18
        left.coda = NASAL.get(left.coda, left.coda)
    if {left.coda, right.onset} == {"ㄴ", "ㄹ"}:  # 20
        left.coda = right.onset = "ㄹ"


def _spell(syllable: Syllable, previous: Syllable | None) -> str:
    onset, vowel = syllable.onset, VOWEL_IPA[syllable.vowel]
    after_sonorant = previous is not None and previous.coda in ("", "ㄴ", "ㄹ", "ㅁ", "ㅇ")
    consonant = ONSET_IPA[onset]
    if onset in VOICED_IPA and after_sonorant:
        consonant = VOICED_IPA[onset]
    elif onset == "ㄹ" and previous is not None and previous.coda == "ㄹ":
        consonant = "l"
    elif onset in ("ㅅ", "ㅆ") and vowel[0] in "ij":
        consonant = "ɕ"
    if onset in "ㅈㅉㅊ":  # 5: 져, 쪄, 쳐 are said 저, 쩌, 처
        vowel = vowel.removeprefix("j")
    elif syllable.vowel == "ㅢ" and (onset != "ㅇ" or previous is not None):  # 5
        vowel = "i"
    elif syllable.vowel == "ㅖ" and onset not in "ㅇㄹ":  # 5
        vowel = "e"
    return consonant + vowel + CODA_IPA[syllable.coda]
