"""The sentences of the project, ready to parse, and what they should mean."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from soripan.nlu import templates
from soripan.nlu.grammar import Grammar, compile_grammar
from soripan.nlu.intents import Intent
from soripan.nlu.parser import Parser
from soripan.nlu.templates import Templates

ROOT = Path(__file__).parents[2]
LANGUAGE_FOLDER = ROOT / "config/language"
LANGUAGES = ("ko", "en")


@cache
def load_templates(language: str) -> Templates:
    return templates.load(LANGUAGE_FOLDER, language)


@cache
def load_grammar(language: str) -> Grammar:
    return compile_grammar(load_templates(language))


@cache
def load_parser(language: str) -> Parser:
    return Parser(load_grammar(language))


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence and its intent; None: it has none."""

    text: str
    intent: Intent | None


def read_cases(language: str) -> list[Case]:
    """All sentences of ``tests/nlu/fixtures``."""
    cases = []
    for path in sorted((ROOT / "tests/nlu/fixtures" / language).glob("*.yaml")):
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            intent = _intent(test["intent"])
            cases += [Case(str(text), intent) for text in test["sentences"]]
    return cases


def _intent(raw: dict[str, Any] | None) -> Intent | None:
    return None if raw is None else Intent(raw["name"], raw.get("slots", {}))
