"""How texts become words of the recogniser, and what of its language model is kept."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from soripan.asr import ngrams
from soripan.asr.acceptor import OPEN, Acceptor, compile_acceptor
from soripan.asr.lexicon import Lexicon
from soripan.asr.ngrams import LanguageModel
from soripan.asr.openfst import OpenFst, tools
from soripan.exc import ToolMissingError
from soripan.nlu import templates
from soripan.nlu.grammar import compile_grammar

WORDS = [
    "",
    *[
        "티비",
        "켜",
        "켜줘",
        "줘",
        "우유",
        "계",
        "란",
        "담아",
        "알렉사",
        "알렉사한테",
        "한테",
        "물어",
        "봐",
        "물",
        "물어봐",
        "HDMI",
    ],
]
IDS = {word: number for number, word in enumerate(WORDS) if word}
LEXICON = Lexicon(IDS.get, IDS)

SENTENCES = """\
language: ko
intents:
  TurnOn:
    data:
      - sentences: ["티비 켜[ 줘]", "냉장고 켜"]
        slots: {target: tv}
  ShoppingAdd:
    data:
      - sentences: ["<one> 담아"]
  AskAssistant:
    data:
      - sentences: ["{assistant}한테 {text} 물어봐"]
expansion_rules:
  one: "{thing:name}"
lists:
  thing: {values: [우유, 계란]}
  assistant: {values: [{in: 알렉사, out: alexa}]}
  text: {wildcard: true}
collect: {one: items}
repeat: [one]
"""


@pytest.fixture(scope="module")
def fst() -> Iterator[OpenFst]:
    try:
        with tools() as ready:
            yield ready
    except ToolMissingError as error:
        pytest.skip(str(error))


def spelled(word: str) -> set[str]:
    return {" ".join(WORDS[number] for number in way) for way in LEXICON.spellings(word)}


@pytest.mark.parametrize(
    ("word", "ways"),
    [
        ("켜줘", {"켜줘"}),
        ("계란", {"계 란"}),
        ("켜줘켜", {"켜줘 켜"}),
        ("물어봐물어", {"물어봐 물어"}),
        ("켜물어봐켜", {"켜 물어봐 켜"}),
        ("hdmi", {"HDMI"}),
        ("hdm", set()),
        ("계란말이", set()),
        ("계1란", set()),
    ],
)
def test_a_word_is_put_together_from_as_few_as_possible(word: str, ways: set[str]) -> None:
    assert spelled(word) == ways


def test_all_shortest_spellings_are_given() -> None:
    words = {"가": 1, "나": 2, "다": 3, "가나": 4, "나다": 5}
    assert set(Lexicon(words.get, words).spellings("가나다")) == {(4, 3), (1, 5)}


def test_the_letters_with_which_words_go_on() -> None:
    assert LEXICON.next_letters("물") == {"어"}
    assert LEXICON.next_letters("물어") == {"봐"}
    assert LEXICON.next_letters("알렉사한테") == frozenset()
    assert LEXICON.next_letters("") == {word[0] for word in IDS}


def test_the_nearest_words() -> None:
    assert LEXICON.nearest("hdm") == ("HDMI",)
    assert LEXICON.nearest("알렉세") == ("알렉사",)
    assert LEXICON.nearest("zzz") == ()


def accepted(acceptor: Acceptor, longest: int) -> set[str]:
    """Every sequence of words up to a length that leads from the start to a final state."""
    found, waiting = set(), [(0, ())]  # type: tuple[set[str], list[tuple[int, tuple[str, ...]]]]
    while waiting:
        state, words = waiting.pop()
        if state in acceptor.finals:
            found.add(" ".join(words))
        if len(words) < longest:
            waiting += [
                (target, (*words, "…" if label == OPEN else WORDS[label]))
                for source, target, label in acceptor.arcs
                if source == state
            ]
    return found


def test_the_acceptor_takes_the_sentences_and_nothing_else(fst: OpenFst, tmp_path: Path) -> None:
    (tmp_path / "ko").mkdir()
    (tmp_path / "ko/a.yaml").write_text(SENTENCES, encoding="utf-8")
    grammar = compile_grammar(templates.load(tmp_path, "ko"))
    acceptor = compile_acceptor(grammar, LEXICON, fst, tmp_path)
    things = [
        " ".join(each)
        for number in (1, 2, 3, 4)
        for each in itertools.product(("우유", "계 란"), repeat=number)
    ]
    wanted = {f"{each} 담아" for each in things}
    wanted |= {"티비 켜", "티비 켜 줘", "티비 켜줘"}  # nobody can write "냉장고"
    wanted |= {"알렉사한테 … 물어봐", "알렉사 한테 … 물어봐"}
    assert accepted(acceptor, 5) == {each for each in wanted if len(each.split()) <= 5}


RANGES = """\
language: ko
intents:
  StartTimer:
    data:
      - sentences: ["타이머 {minutes:seconds} 분 {seconds} 초"]
lists:
  minutes: {range: {from: 1, to: 100, multiplier: 60}}
  seconds: {range: {from: 1, to: 100}}
"""


def test_two_ranges_are_branches_not_ten_thousand_paths(fst: OpenFst, tmp_path: Path) -> None:
    (tmp_path / "ko").mkdir()
    (tmp_path / "ko/a.yaml").write_text(RANGES, encoding="utf-8")
    grammar = compile_grammar(templates.load(tmp_path, "ko"))
    ids = {word: i for i, word in enumerate(["타이머", "분", "초", *"일이삼사오육칠팔구십백"], 1)}
    acceptor = compile_acceptor(grammar, Lexicon(ids.get, ids), fst, tmp_path)
    assert acceptor.states < 20
    assert len(acceptor.arcs) < 100


TAKEN_BACK = """\
language: ko
intents:
  SetVolume:
    data:
      - sentences: ["소리 {volume:value} 도[로] 맞춰 줘", "소리 켜 {volume:value}"]
lists:
  volume: {range: {from: 1, to: 3}}
corrections: [아니, 아니 참]
"""


def test_a_number_can_be_taken_back_until_soon_after_it(fst: OpenFst, tmp_path: Path) -> None:
    (tmp_path / "ko").mkdir()
    (tmp_path / "ko/a.yaml").write_text(TAKEN_BACK, encoding="utf-8")
    grammar = compile_grammar(templates.load(tmp_path, "ko"))
    words = ["소리", "일", "이", "삼", "도", "로", "맞춰", "줘", "켜", "아니", "참"]
    ids = {word: number for number, word in enumerate(words, 1)}
    acceptor = compile_acceptor(grammar, Lexicon(ids.get, ids), fst, tmp_path)

    def takes(text: str) -> bool:
        states = {0}
        for word in text.split():
            arcs = acceptor.arcs
            states = {t for s, t, label in arcs if s in states and label == ids[word]}
        return bool(states & acceptor.finals)

    assert takes("소리 일 도 맞춰 줘")
    assert takes("소리 일 아니 이 도 맞춰 줘")
    assert takes("소리 일 도 아니 이 도 맞춰 줘")
    assert takes("소리 일 도 로 아니 참 이 도 로 맞춰 줘")
    assert takes("소리 일 아니 이 아니 삼 도 맞춰 줘")
    assert not takes("소리 일 도 로 맞춰 줘 아니 이 도 맞춰 줘")
    assert not takes("소리 아니 이 도 맞춰 줘")
    assert not takes("소리 일 아니 켜 일")
    assert not takes("소리 일 도 아니")


def costs(*probabilities: float) -> "ngrams.Costs":
    return np.array([-math.log(p) if p else np.inf for p in probabilities], np.float32)


# a, b, c, d: d cannot be said. -1 is the beginning of the sentence.
SMALL = LanguageModel(
    words=("", "a", "b", "c", "d"),
    unigrams=costs(0, 0.5, 0.25, 0.125, 0),
    back_off=costs(0, 0.5, 1.0, 0, 0),
    ends=costs(0, 0.5, 0, 0, 0),
    end=1.0,
    histories=np.array([2, 1, -1, 1], np.int32),
    followers=np.array([1, 3, 1, 2], np.int32),
    costs=costs(0.75, 0.0625, 0.9, 0.5),
    start_back_off=math.log(2),
)
NONE = np.zeros(5, np.bool_)
# What each bigram gains over backing off, p(h) p(w|h) ln(p(w|h) / backed off):
#   b a: 0.25 * 0.75 * ln(0.75 / 0.5) = 0.076       a c: 0, backing off says the same
#   start a: 0.9 * ln(0.9 / 0.25) = 1.153           a b: 0.5 * 0.5 * ln(0.5 / 0.125) = 0.347


@pytest.mark.parametrize(
    ("words", "bigrams", "kept"),
    [
        (3, 1, [(-1, 1)]),
        (3, 2, [(-1, 1), (1, 2)]),
        (3, 3, [(2, 1), (-1, 1), (1, 2)]),
        (3, 9, [(2, 1), (1, 3), (-1, 1), (1, 2)]),
        (2, 9, [(2, 1), (-1, 1), (1, 2)]),
        (1, 9, [(-1, 1)]),
    ],
)
def test_the_bigrams_that_matter_are_kept(
    words: int, bigrams: int, kept: list[tuple[int, int]]
) -> None:
    small = ngrams.prune(SMALL, words, bigrams, NONE)
    pairs = zip(small.histories.tolist(), small.followers.tolist(), strict=True)
    assert list(pairs) == kept
    assert np.flatnonzero(np.isfinite(small.unigrams)).tolist() == [1, 2, 3][:words]
    np.testing.assert_array_equal(small.back_off, SMALL.back_off)
    before = dict(zip(zip(SMALL.histories, SMALL.followers, strict=True), SMALL.costs, strict=True))
    assert small.costs.tolist() == [before[pair] for pair in kept]


def test_words_that_cannot_be_said_are_never_kept() -> None:
    assert np.isinf(ngrams.prune(SMALL, 5, 0, NONE).unigrams).tolist() == [1, 0, 0, 0, 1]


def test_words_that_are_marked_are_kept_if_they_can_be_said() -> None:
    marked = np.array([0, 0, 0, 1, 1], np.bool_)
    assert np.flatnonzero(ngrams.prune(SMALL, 1, 0, marked).sayable).tolist() == [1, 3]


def test_without_bigrams_the_words_cost_the_same(fst: OpenFst, tmp_path: Path) -> None:
    write_language_model(fst, tmp_path)
    whole, small = (ngrams.read(tmp_path, fst, tmp_path, bigrams=b) for b in (True, False))
    assert small.words == whole.words
    np.testing.assert_array_equal(small.unigrams, whole.unigrams)
    assert (small.end, small.start_back_off) == (whole.end, whole.start_back_off)
    assert small.histories.size == 0


def test_the_language_model_is_read_as_it_is(fst: OpenFst, tmp_path: Path) -> None:
    write_language_model(fst, tmp_path)
    model = ngrams.read(tmp_path, fst, tmp_path)
    assert model.words == ("<eps>", "a", "b", "c")
    assert model.unigrams.tolist() == [np.inf, 1, 2, 3]
    assert model.back_off.tolist() == [np.inf, 0.75, 1.5, np.inf]
    assert model.ends.tolist() == [np.inf, 6, np.inf, np.inf]
    assert (model.end, model.start_back_off) == (7, 0.5)


def write_language_model(fst: OpenFst, tmp_path: Path) -> None:
    (tmp_path / "graph").mkdir()
    symbols = tmp_path / "symbols"
    symbols.write_text("<eps> 0\na 1\nb 2\nc 3\n")
    # 0 knows nothing, 1 is the beginning, 2 follows on a, 3 on b, 4 on "a b".
    (tmp_path / "text").write_text(
        "1 0 <eps> <eps> 0.5\n1 2 a a 0.25\n"
        "0 2 a a 1\n0 3 b b 2\n0 0 c c 3\n"
        "2 0 <eps> <eps> 0.75\n2 4 b b 0.125\n"
        "4 3 <eps> <eps> 9\n4 2 a a 9\n"
        "3 0 <eps> <eps> 1.5\n3 2 a a 1.25\n"
        "0 7\n2 6\n"
    )
    fst.run(
        "fstcompile",
        "--keep_state_numbering",
        "--keep_isymbols",
        "--keep_osymbols",
        f"--isymbols={symbols}",
        f"--osymbols={symbols}",
        tmp_path / "text",
        tmp_path / "graph/Gr.fst",
    )
