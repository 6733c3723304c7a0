"""The sentences of the project mean what they should."""

import pytest
import yaml

from soripan.nlu.intents import INTENTS, Intent
from soripan.nlu.render import Renderer
from soripan.nlu.templates import TextList
from support.language import LANGUAGES, ROOT, Case, load_parser, load_templates, read_cases

KO, EN = read_cases("ko"), read_cases("en")
SPOKEN = yaml.safe_load((ROOT / "tests/audio/sentences.yaml").read_text(encoding="utf-8"))


def understood(language: str, text: str) -> Intent | None:
    parse = load_parser(language).parse(text)
    return None if parse is None else parse.intent


@pytest.mark.parametrize("case", KO, ids=lambda case: case.text)
def test_korean(case: Case) -> None:
    assert understood("ko", case.text) == case.intent


@pytest.mark.parametrize("case", EN, ids=lambda case: case.text)
def test_english(case: Case) -> None:
    assert understood("en", case.text) == case.intent


@pytest.mark.parametrize(
    "spoken",
    [*SPOKEN["commands"], *SPOKEN["other"], *SPOKEN["demo"]],
    ids=lambda spoken: spoken["text"],
)
def test_the_recordings_are_labelled_as_the_parser_understands_them(
    spoken: dict[str, object],
) -> None:
    intent = understood("ko", str(spoken["text"]))
    assert (intent.name if intent else None) == spoken["intent"]
    assert (dict(intent.slots) if intent else {}) == spoken["slots"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_intent_has_templates_and_cases(language: str) -> None:
    cases = KO if language == "ko" else EN
    assert {s.intent for s in load_templates(language).sentences} == set(INTENTS)
    assert {case.intent.name for case in cases if case.intent} == set(INTENTS)


@pytest.mark.parametrize(("cases", "meant", "other"), [(KO, 300, 80), (EN, 150, 80)])
def test_there_are_enough_cases(cases: list[Case], meant: int, other: int) -> None:
    assert sum(case.intent is not None for case in cases) >= meant
    assert sum(case.intent is None for case in cases) >= other
    texts = [case.text for case in cases]
    assert len(set(texts)) == len(texts)


def test_things_and_counters_have_english_names() -> None:
    lists = load_templates("ko").lists
    for name, least in (("item", 150), ("unit", 30), ("timer_name", 10)):
        entry = lists[name]
        assert isinstance(entry, TextList)
        assert len({value.value for value in entry.values}) == len(entry.values) >= least
        assert all("en" in value.names for value in entry.values)


@pytest.mark.parametrize("case", [case for case in EN if case.intent], ids=lambda case: case.text)
def test_english_says_again_what_it_understood(case: Case) -> None:
    assert case.intent is not None
    said = Renderer(load_templates("en")).render(case.intent)
    assert understood("en", said) == case.intent


@pytest.mark.parametrize("case", [case for case in KO if case.intent], ids=lambda case: case.text)
def test_english_says_what_korean_meant(case: Case) -> None:
    assert case.intent is not None
    said = Renderer(load_templates("en"), load_templates("ko")).render(case.intent)
    again = understood("en", said)
    assert again is not None, said
    assert again.name == case.intent.name
    assert without_names(again) == without_names(case.intent)


def without_names(intent: Intent) -> dict[str, object]:
    """The slots that do not depend on the language."""
    slots = {
        name: value for name, value in intent.slots.items() if name not in ("name", "item", "unit")
    }
    if "items" in slots:
        slots["items"] = [item["quantity"] for item in slots["items"]]
    return slots


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_example_has_a_meaning(language: str) -> None:
    examples = load_templates(language).examples
    assert len(examples) > 200
    assert [text for text in examples if understood(language, text) is None] == []


def test_the_recordings_are_not_what_the_graph_learnt_from() -> None:
    spoken = {each["text"] for kind in ("commands", "other", "demo") for each in SPOKEN[kind]}
    assert spoken.isdisjoint(load_templates("ko").examples)
