"""How a sentence is spelled in the words of a graph, and whether it is a command there."""

from pathlib import Path

import pytest

from soripan.asr.acceptor import OPEN, Acceptor
from soripan.asr.explain import FREE, explain
from soripan.exc import ModelError

WORDS = ["<eps>", "티비", "켜", "줘", "켜줘", "두", "유", "주문해", "HDMI", "로"]
TV, ON, PLEASE, ON_PLEASE, _, _, ORDER, HDMI, TO = range(1, 10)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    (tmp_path / "graph").mkdir()
    lines = (f"{word} {number}\n" for number, word in enumerate(WORDS))
    (tmp_path / "graph/words.txt").write_text("".join(lines), encoding="utf-8")
    arcs = {
        (0, 1, TV),
        (1, 2, ON),
        (2, 3, PLEASE),
        (1, 3, ON_PLEASE),
        (0, 4, OPEN),
        (4, 3, ORDER),
        (0, 5, HDMI),
        (5, 3, TO),
    }
    Acceptor(arcs, {2, 3}, 6).write(tmp_path / "graph/commands.txt")
    return tmp_path


def test_all_ways_to_spell_a_command(graph: Path) -> None:
    explained = explain(graph, "티비 켜 줘")
    assert explained.spelled == (("티비", ("티비",)), ("켜", ("켜",)), ("줘", ("줘",)))
    assert explained.commands == ("티비 켜줘", "티비 켜 줘")
    assert explained.near == ()


@pytest.mark.parametrize("text", ["티비켜줘", "티비, 켜줘!", "티비켜 줘"])
def test_white_space_and_signs_do_not_count(graph: Path, text: str) -> None:
    assert explain(graph, text).commands == ("티비 켜줘", "티비 켜 줘")


def test_a_word_is_put_together(graph: Path) -> None:
    assert explain(graph, "두유").spelled == (("두유", ("두 유",)),)


def test_free_text(graph: Path) -> None:
    assert explain(graph, "두유 주문해").commands == (f"{FREE} 주문해",)


def test_latin_words(graph: Path) -> None:
    assert explain(graph, "HDMI로").commands == ("HDMI 로",)
    assert explain(graph, "hdmi 로").spelled[0] == ("hdmi", ("HDMI",))


@pytest.mark.parametrize("text", ["티비", "켜 줘", "줘 티비 켜", "티비 켜 줘 줘", ""])
def test_no_command(graph: Path, text: str) -> None:
    assert explain(graph, text).commands == ()


def test_a_word_that_cannot_be(graph: Path) -> None:
    explained = explain(graph, "hdmy 켜")
    assert explained.spelled[0] == ("hdmy", ())
    assert explained.near == ("HDMI",)


def test_no_graph(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no listening graph"):
        explain(tmp_path, "티비 켜")
