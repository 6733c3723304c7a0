"""Mistakes in sentence templates are found when they are loaded, and named by file and line."""

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soripan.exc import TemplateError
from soripan.nlu import templates
from soripan.nlu.templates import RangeList, TextList
from support.language import LANGUAGES, load_templates

GOOD = """\
language: ko
intents:
  SetVolume:
    data:
      - sentences:
          - "소리 {volume:value}(으로|로) <set>"
  TurnOn:
    data:
      - sentences: ["티비 켜"]
        slots: {target: tv}
  ShoppingAdd:
    data:
      - sentences: ["<one> 담아"]
expansion_rules:
  set: "맞춰[ 줘]"
  one: "{thing:name}"
lists:
  volume: {range: {from: 0, to: 100}}
  thing: {values: [우유, {in: 달걀, out: 계란, names: {en: egg}}]}
collect: {one: items}
repeat: [one]
corrections: [아니, "아니, 잠깐"]
"""


def load(folder: Path, text: str) -> templates.Templates:
    (folder / "ko").mkdir(exist_ok=True)
    (folder / "ko/a.yaml").write_text(text, encoding="utf-8")
    return templates.load(folder, "ko")


def test_reads_a_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD)
    assert [sentence.intent for sentence in loaded.sentences] == [
        "SetVolume",
        "TurnOn",
        "ShoppingAdd",
    ]
    assert loaded.sentences[1].slots == {"target": "tv"}
    assert loaded.sentences[0].template.origin.line == 6
    assert loaded.collect == {"one": "items"}
    assert loaded.repeat == {"one"}
    assert loaded.corrections == ("아니", "아니 잠깐")
    volume, thing = loaded.lists["volume"], loaded.lists["thing"]
    assert volume == RangeList(0, 100, 1, 1, ("sino",))
    assert isinstance(thing, TextList)
    assert [value.value for value in thing.values] == ["우유", "계란"]
    assert thing.values[1].names == {"en": "egg"}


def test_files_of_a_language_share_rules_and_lists(tmp_path: Path) -> None:
    (tmp_path / "ko").mkdir()
    (tmp_path / "ko/b.yaml").write_text("language: ko\nexpansion_rules: {tv: 티비}\n")
    loaded = load(
        tmp_path,
        "language: ko\nintents: {TurnOn: {data: [{sentences: [<tv>], slots: {target: tv}}]}}\n",
    )
    assert set(loaded.rules) == {"tv"}


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        (
            '"소리 {volume:value}(으로|로) <set>"',
            '"소리 {volume:value}(으로|로 <set>"',
            6,
            "parsed",
        ),
        ('"소리 {volume:value}(으로|로) <set>"', '"소리 {volume:value}으로] <set>"', 6, "parsed"),
        ("(으로|로) <set>", "(으로|로) <sett>", 6, "no rule <sett>"),
        ("{volume:value}", "{loudness:value}", 6, "no list {loudness}"),
        ("{volume:value}", "{volume:loudness}", 6, "no slot “loudness”"),
        ("{volume:value}", "[{volume:value}]", 6, "needs the slot “value”"),
        ("{volume:value}", "{volume:value}|하나", 6, "needs the slot “value”"),
        ("{volume:value}", "{thing:value}", 19, "cannot stand in the slot “value”"),
        ("SetVolume:", "SetLoudness:", 3, "no intent “SetLoudness”"),
        ("slots: {target: tv}", "slots: {goal: tv}", 9, "cannot have goal"),
        ("slots: {target: tv}", "slots: {target: 3}", 9, "cannot have target"),
        ("slots: {target: tv}", "slots: tv", 7, "must be a table"),
        ('["티비 켜"]', "[3]", 7, "must be text"),
        ('["티비 켜"]', "티비 켜", 7, "must be a list"),
        ('["티비 켜"]', "[]", 7, "must be a list"),
        ('"맞춰[ 줘]"', "[1, 2]", 15, "must be text"),
        ('"맞춰[ 줘]"', '"맞춰 <set>"', 15, "contains itself"),
        ('"맞춰[ 줘]"', '"맞춰 <one>"', 6, "fills “items”"),
        ('one: "{thing:name}"', 'one: "[{thing:name}]"', 16, "needs “name”"),
        ('one: "{thing:name}"', 'one: "{thing:colour}"', 16, "no slot “colour”"),
        ("collect: {one: items}", "collect: {two: items}", 20, "no rule <two>"),
        ("repeat: [one]", "repeat: [two]", 21, "no rule <two>"),
        ("repeat: [one]", "repeat: one", 21, "must be a list"),
        ("repeat: [one]", "repeats: [one]", 21, "unknown key “repeats”"),
        ("corrections: [아니, ", "corrections: [3, ", 0, "must be words"),
        ("corrections: [아니, ", 'corrections: ["?", ', 22, "must be words"),
        ('corrections: [아니, "아니, 잠깐"]', "corrections: 아니", 22, "must be a list"),
        ("[우유, ", '["{volume}", ', 19, "cannot refer to a list"),
        ("[우유, ", '["<one>", ', 19, "cannot refer to a list"),
        ("[우유, ", "[[우유], ", 19, "must be a table"),
        ("out: 계란", "out: [계란]", 19, "needs the text “in”"),
        ("out: 계란", "aus: 계란", 19, "unknown key “aus”"),
        ("names: {en: egg}", "names: egg", 19, "must be a table"),
        ("{from: 0, to: 100}", "{from: 0, to: lots}", 18, "whole numbers"),
        ("{from: 0, to: 100}", "{from: 10, to: 1}", 18, "must go up"),
        ("{from: 0, to: 100}", "{from: 0, to: 1000000000}", 18, "must go up"),
        ("{from: 0, to: 100}", "{from: 0, to: 9, multiplier: 0}", 18, "must go up"),
        ("{from: 0, to: 100}", "{from: 0, to: 9, numerals: roman}", 18, "numerals must be one of"),
        ("{range: {from: 0, to: 100}}", "{wildcard: true}", 6, "cannot hold just any words"),
        ("{range: {from: 0, to: 100}}", "{wildcard: true, cost: 0}", 18, "“cost”"),
        ("{range: {from: 0, to: 100}}", "{values: [가], cost: 3}", 18, "“cost”"),
        ("{range: {from: 0, to: 100}}", "{}", 18, "needs one of"),
        ("language: ko", "language: en", 1, "must be “ko”"),
        ("  TurnOn:", " TurnOn:", 7, "is not YAML"),
        ("[one]\n", "[one\n", 22, "is not YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, line: int, problem: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(TemplateError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert problem in str(caught.value)
    assert caught.value.path == tmp_path / "ko/a.yaml"
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{tmp_path / 'ko/a.yaml'}:{line}: ")


@pytest.mark.parametrize("what", ["rules", "lists", "collected rules"])
def test_what_is_defined_twice_is_named(tmp_path: Path, what: str) -> None:
    (tmp_path / "ko").mkdir()
    again = {
        "rules": 'expansion_rules: {set: "해"}',
        "lists": "lists: {volume: {wildcard: true}}",
        "collected rules": "collect: {one: items}",
    }
    (tmp_path / "ko/b.yaml").write_text(f"language: ko\n{again[what]}\n", encoding="utf-8")
    with pytest.raises(TemplateError, match=r"b\.yaml:2: .* is defined twice"):
        load(tmp_path, GOOD)


def test_a_language_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no sentence templates"):
        templates.load(tmp_path, "ko")


@pytest.mark.parametrize("raw", [b"language: \xff\n", b"- a\n", b"3\n", b""])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "ko").mkdir()
    (tmp_path / "ko/a.yaml").write_bytes(raw)
    with pytest.raises(TemplateError, match=r"a\.yaml"):
        templates.load(tmp_path, "ko")


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    keys = list(node) if isinstance(node, dict) else range(len(node) if type(node) is list else 0)
    for key in keys:
        found += places(node[key], (*path, key))
    return found


_junk: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 200)
    | st.floats(allow_nan=False)
    | st.dates()
    | st.text(alphabet="가<>{}[]()|:; x\\", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(places(yaml.safe_load(GOOD))), _junk)
def test_junk_anywhere_loads_or_is_refused(
    tmp_path: Path, place: tuple[Any, ...], junk: Any
) -> None:
    document = copy.deepcopy(yaml.safe_load(GOOD))
    node = document
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = junk
    with contextlib.suppress(TemplateError):
        load(tmp_path, yaml.safe_dump(document, allow_unicode=True))


@pytest.mark.parametrize("language", LANGUAGES)
def test_literals_have_a_place_and_no_digits(language: str) -> None:
    found = list(load_templates(language).literals())
    assert len(found) > 300
    assert all(origin.line > 0 and text.strip() for text, origin in found)
    assert not [text for text, _ in found if text.strip().isdigit()]


def test_examples_are_lines_without_comments(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).examples == ()
    (tmp_path / "ko/examples.txt").write_text("# said most\n\n티비 켜\n 소리 십으로 맞춰 줘 \n")
    assert load(tmp_path, GOOD).examples == ("티비 켜", "소리 십으로 맞춰 줘")


def test_examples_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "ko").mkdir()
    (tmp_path / "ko/examples.txt").write_bytes("티비".encode("utf-16"))
    with pytest.raises(TemplateError, match=r"examples\.txt.*cannot be read"):
        load(tmp_path, GOOD)
