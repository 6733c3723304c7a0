"""The listening graph: how it comes to be, and that it understands."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from soripan.asr import graph
from soripan.asr.graph import Progress
from soripan.asr.lexicon import Lexicon
from soripan.asr.listening import KEPT, graph_folder, listening_model
from soripan.asr.models import ModelStore
from soripan.asr.profiles import PROFILES, Profile, fitting
from soripan.asr.recogniser import Recogniser, Transcript
from soripan.exc import ModelError, ToolMissingError
from soripan.nlu.grammar import Arc, Grammar
from support.language import load_grammar, load_parser

AUDIO = Path(__file__).parents[1] / "audio"
LITE = PROFILES["lite"]
CLEAR = [
    "014_SetTemperature_alpha",
    "022_GetDoor_kumo",
    "033_ChangeVolume_nezumi",
    "037_SetChannel_gongitsune",
    "047_LaunchApp_tebukuro",
    "055_CancelTimer_nezumi",
    "059_GetTime_nezumi",
    "080_ShoppingOrder_alpha",
    "100_SetTemperature_tebukuro",
    "102_ShoppingOrder_alpha",
]
"""Recordings that are understood with some room to spare."""


@pytest.fixture(scope="module")
def listening(models: ModelStore, korean_model: Path) -> Path:
    """The listening graph of the shipped sentences; built only if it was not before."""
    return listening_model(
        korean_model, load_grammar("ko"), fitting(), models.folder / "graphs", print
    )


@pytest.fixture(scope="module")
def recogniser(listening: Path) -> Recogniser:
    return Recogniser(listening, 10)


def recognise(recogniser: Recogniser, path: Path) -> Transcript:
    """What is understood of a recording, fed as a microphone would."""
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 16_000
    samples = np.concatenate([samples, np.zeros(32_000, np.int16)])
    recogniser.start()
    for begin in range(0, len(samples), 1280):
        if (transcript := recogniser.accept(samples[begin : begin + 1280])) is not None:
            return transcript
    return recogniser.finish()


def test_silence_is_nothing_however_long(recogniser: Recogniser) -> None:
    recogniser.start()
    for _ in range(round(12 / 0.08)):
        transcript = recogniser.accept(np.zeros(1280, np.int16))
        assert transcript in (None, Transcript(()))
        assert recogniser.partial() == ""
    assert recogniser.finish() == Transcript(())


@pytest.mark.parametrize("name", CLEAR)
def test_commands_are_understood(recogniser: Recogniser, name: str) -> None:
    labels = yaml.safe_load((AUDIO / "labels.yaml").read_text(encoding="utf-8"))
    label = next(each for each in labels if each["file"] == f"commands/{name}.flac")
    transcript = recognise(recogniser, AUDIO / label["file"])
    parses = [load_parser("ko").parse(each.text) for each in transcript.alternatives]
    parse = next((each for each in parses if each is not None), None)
    assert parse is not None, transcript.text
    assert parse.intent.name == label["intent"]
    assert parse.intent.slots == (label["slots"] or {})
    assert sum(each.confidence for each in transcript.alternatives) == pytest.approx(1.0)
    ends = [word.end for word in transcript.alternatives[0].words]
    assert label["speech_end"] - 0.5 < ends[-1] < label["speech_end"] + 0.5


def test_an_utterance_leaves_nothing_for_the_next(recogniser: Recogniser) -> None:
    path = AUDIO / f"commands/{CLEAR[0]}.flac"
    first = recognise(recogniser, path)
    recognise(recogniser, AUDIO / f"commands/{CLEAR[-1]}.flac")
    # The likeliest reading only: Kaldi adds a little noise, so confidences differ each time.
    assert recognise(recogniser, path).text == first.text


def test_silence_is_no_word(recogniser: Recogniser) -> None:
    recogniser.start()
    silence = np.zeros(1280, np.int16)
    for _ in range(40):
        heard = recogniser.accept(silence)
        assert heard is None or heard == Transcript(())
    assert recogniser.finish() == Transcript(())


def test_words_are_found_in_the_lexicon(recogniser: Recogniser) -> None:
    assert recogniser.find_word("냉장고") is not None
    assert recogniser.find_word("뷁쀍꿿") is None


def test_the_second_time_it_is_there_at_once(
    listening: Path, models: ModelStore, korean_model: Path
) -> None:
    steps: list[str] = []
    began = time.monotonic()
    again = listening_model(
        korean_model, load_grammar("ko"), fitting(), models.folder / "graphs", steps.append
    )
    assert (again, steps) == (listening, [])
    assert time.monotonic() - began < 2.0


def test_no_vosk_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a Vosk model"):
        Recogniser(tmp_path, 1)


# How it is kept, with a builder that does nothing: what is tested is what happens around it.


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    folder = tmp_path / "stock"
    (folder / "graph").mkdir(parents=True)
    for name in ("HCLr", "Gr"):
        (folder / f"graph/{name}.fst").write_text(name)
    return folder


def tiny(text: str) -> Grammar:
    grammar = Grammar("ko", arcs=[[Arc(1, text)], []])
    grammar.finals[1] = load_grammar("ko").finals[next(iter(load_grammar("ko").finals))]
    return grammar


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replaces the builder by one that fails as told: the errors to raise, the first one first."""
    failures: list[Any] = []

    def build(
        _model: Path,
        _grammar: Grammar,
        _profile: Profile,
        target: Path,
        progress: Progress,
        _check: Callable[[Lexicon], None],
    ) -> None:
        progress("building")
        (target / "graph").mkdir()
        (target / "graph/HCLG.fst").write_text("half of it")
        if failures:
            raise failures.pop(0)

    monkeypatch.setattr(graph, "build", build)
    return failures


@pytest.mark.parametrize(
    ("failure", "wanted"),
    [
        (OSError(28, "No space left on device"), ModelError),
        (RuntimeError("fstcompose: ERROR: no space"), ModelError),
        (ToolMissingError("no OpenFst"), ToolMissingError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_leaves_nothing_and_the_next_time_may_succeed(
    built: list[Any],
    stock: Path,
    tmp_path: Path,
    failure: BaseException,
    wanted: type[BaseException],
) -> None:
    folder = tmp_path / "graphs"
    built.append(failure)
    with pytest.raises(wanted):
        listening_model(stock, tiny("켜"), LITE, folder, print)
    assert [path.name for path in folder.iterdir()] == ["lock"]
    assert (listening_model(stock, tiny("켜"), LITE, folder, print) / "graph/HCLG.fst").exists()


def test_what_a_crash_left_is_removed(built: list[Any], stock: Path, tmp_path: Path) -> None:
    folder = tmp_path / "graphs"
    (folder / "building/work").mkdir(parents=True)
    target = listening_model(stock, tiny("켜"), LITE, folder, print)
    assert sorted(folder.iterdir()) == sorted([folder / "lock", target])
    assert [path.name for path in target.iterdir()] == ["graph"]


def test_each_change_makes_another_and_old_ones_go(
    built: list[Any], stock: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "graphs"
    targets = []
    for text in "가나다라마바사아":
        targets.append(listening_model(stock, tiny(text), LITE, folder, print))
        time.sleep(0.02)  # for the file system's clock
        listening_model(stock, tiny("가"), LITE, folder, print)  # in use all the time
        time.sleep(0.02)
    assert len(set(targets)) == 8
    kept = [True, *[False] * (8 - KEPT), *[True] * (KEPT - 1)]
    assert [target.exists() for target in targets] == kept
    before = graph_folder(stock, tiny("아"), LITE, folder)
    assert before == targets[-1]
    (stock / "graph/Gr.fst").write_text("another language model")
    assert graph_folder(stock, tiny("아"), LITE, folder) != before


@pytest.mark.parametrize("name", ["HCLr", "Gr"])
def test_a_model_without_its_parts(stock: Path, tmp_path: Path, name: str) -> None:
    (stock / f"graph/{name}.fst").unlink()
    with pytest.raises(ModelError, match=r'no dynamic graph .*graph = "stock"'):
        listening_model(stock, tiny("켜"), LITE, tmp_path / "graphs", print)


def test_no_openfst(stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="apt-get install libfst-tools"):
        listening_model(stock, tiny("켜"), LITE, tmp_path / "graphs", print)


def test_parts_that_are_no_graphs(stock: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be built"):
        listening_model(stock, tiny("켜"), LITE, tmp_path / "graphs", print)
