"""Sentence templates: reading the YAML files of a language.

The files are in hassil's format (https://github.com/OHF-Voice/hassil): ``intents`` with ``data`` of
``sentences`` and fixed ``slots``, ``expansion_rules`` and ``lists``; the sentences are parsed by
hassil. Seven keys are ours. A rule named under ``collect`` adds one object to the slot it is mapped
to wherever it is used; one under ``repeat`` may be said several times in a row. ``numerals`` of a
number list says with which words to count, ``multiplier`` what one of it means. ``cost`` of an open
list (``wildcard``) is what each letter of it costs the parser. ``names`` of a list value are its
names in other languages. ``corrections`` are the words that take back what was just said ("아니").
Every mistake is reported with its file and line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hassil import (
    Alternative,
    Expression,
    Group,
    ListReference,
    RuleReference,
    TextChunk,
    parse_sentence,
)
from hassil.parser import ParseError

from soripan.exc import TemplateError
from soripan.nlu.intents import INTENTS, Slot
from soripan.nlu.numbers import DEFAULT_NUMERALS, NUMERALS
from soripan.nlu.text import normalise


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was written."""

    path: Path
    line: int

    def error(self, problem: str) -> TemplateError:
        """An error that names this place."""
        return TemplateError(self.path, self.line, problem)


@dataclass(frozen=True, slots=True)
class Template:
    """One sentence, or a rule's or a list value's text: parsed, with its place."""

    expression: Expression
    origin: Origin
    text: str


@dataclass(frozen=True, slots=True)
class IntentTemplate:
    """A sentence and the intent it expresses."""

    intent: str
    template: Template
    slots: Mapping[str, Any]
    """Slots the sentence has without saying so."""


@dataclass(frozen=True, slots=True)
class ListValue:
    """One entry of a text list."""

    template: Template
    value: str | int
    names: Mapping[str, str]
    """Its name in other languages, by language."""


@dataclass(frozen=True, slots=True)
class TextList:
    """A list of texts, each standing for a value."""

    values: tuple[ListValue, ...]


@dataclass(frozen=True, slots=True)
class RangeList:
    """Whole numbers from ``start`` to ``stop``; meant is ``multiplier`` times the spoken one."""

    start: int
    stop: int
    step: int
    multiplier: int
    numerals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenList:
    """Any words at all, at least one."""

    cost: int
    """What each of their letters costs: the parser takes the cheapest way to read a sentence."""


SlotList = TextList | RangeList | OpenList


@dataclass(frozen=True, slots=True)
class Templates:
    """All templates of one language."""

    language: str
    sentences: tuple[IntentTemplate, ...]
    rules: Mapping[str, Template]
    lists: Mapping[str, SlotList]
    collect: Mapping[str, str]
    """Rule name to the slot to which each use of the rule adds one object."""
    repeat: frozenset[str]
    """Rules that may be said several times in a row."""
    corrections: tuple[str, ...] = ()
    """Words that take back what was said before them."""
    examples: tuple[str, ...] = ()
    """Sentences that people say most, from ``examples.txt``."""

    def literals(self) -> Iterator[tuple[str, Origin]]:
        """Every stretch of literal text in the templates, with its place.

        Digits are left out: they are for texts that were typed.
        """
        values = (
            value.template
            for entry in self.lists.values()
            if isinstance(entry, TextList)
            for value in entry.values
        )
        for template in (*(s.template for s in self.sentences), *self.rules.values(), *values):
            for text in _literals(template.expression):
                yield text, template.origin


def load(folder: Path, language: str) -> Templates:
    """Read all ``*.yaml`` files of ``folder/language``, and ``examples.txt`` if there is one.

    Raises:
        TemplateError: a file cannot be read, or something in it is wrong.
    """
    files = sorted((folder / language).glob("*.yaml"))
    if not files:
        raise TemplateError(folder / language, 0, "there are no sentence templates (*.yaml) here")
    reader = _Reader(language)
    for path in files:
        reader.read(path)
    for name, origin in reader.spoken_of.items():
        if name not in reader.rules:
            raise origin.error(f"there is no rule <{name}>")
    templates = Templates(
        language,
        tuple(reader.sentences),
        reader.rules,
        reader.lists,
        reader.collect,
        frozenset(reader.repeat),
        tuple(reader.corrections),
        _read_examples(folder / language / "examples.txt"),
    )
    _Checker(templates).check()
    return templates


def _read_examples(path: Path) -> tuple[str, ...]:
    """A sentence a line; lines that begin with ``#`` are comments."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(path, 0, f"cannot be read: {error}") from None
    texts = (line.strip() for line in lines)
    return tuple(text for text in texts if text and not text.startswith("#"))


class _Text(str):
    """A string that knows its line."""

    __slots__ = ("line",)
    line: int


class _LineLoader(yaml.SafeLoader):
    """Loads strings as :class:`_Text`."""


def _construct_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> _Text:
    text = _Text(loader.construct_scalar(node))
    text.line = node.start_mark.line + 1
    return text


_LineLoader.add_constructor("tag:yaml.org,2002:str", _construct_text)
# YAML 1.1 takes on, off, yes and no for booleans; here they are words.
_LineLoader.add_constructor("tag:yaml.org,2002:bool", _construct_text)

_FILE_KEYS = {"language", "intents", "expansion_rules", "lists", "collect", "repeat", "corrections"}
_LIST_KINDS = {"values", "range", "wildcard"}
_LARGEST = 10_000
"""Largest number of a range: each has its place in the grammar."""
_RANGE_KEYS = {"from", "to", "step", "multiplier", "numerals"}


@dataclass
class _Reader:
    """Collects what the files of a language say."""

    language: str
    sentences: list[IntentTemplate] = field(default_factory=list)
    rules: dict[str, Template] = field(default_factory=dict)
    lists: dict[str, SlotList] = field(default_factory=dict)
    collect: dict[str, str] = field(default_factory=dict)
    repeat: set[str] = field(default_factory=set)
    corrections: list[str] = field(default_factory=list)
    spoken_of: dict[str, Origin] = field(default_factory=dict)
    """The rules that ``collect`` and ``repeat`` name, and where."""
    path: Path = Path()

    def read(self, path: Path) -> None:
        self.path = path
        try:
            raw = yaml.load(path.read_text(encoding="utf-8"), _LineLoader)  # noqa: S506 (a SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 0
            raise TemplateError(path, line, f"is not YAML: {error.problem}") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise TemplateError(path, 0, f"cannot be read: {error}") from None
        top = self._table(raw, "the file", _FILE_KEYS)
        if top.get("language") != self.language:
            raise self._error(top.get("language"), f"the language must be “{self.language}”")
        for name, body in self._section(top, "intents"):
            self._intent(name, body)
        for name, text in self._section(top, "expansion_rules"):
            self._new(name, self.rules, "rule")
            self.rules[str(name)] = self._template(text, name)
        for name, body in self._section(top, "lists"):
            self._new(name, self.lists, "list")
            self.lists[str(name)] = self._list(name, body)
        for name, slot in self._section(top, "collect"):
            self._new(name, self.collect, "collected rule")
            self.collect[str(name)] = str(slot)
            self._speaks_of(name)
        for name in self._listed(top, "repeat"):
            self.repeat.add(str(name))
            self._speaks_of(name)
        self.corrections += map(self._plain_words, self._listed(top, "corrections"))

    def _plain_words(self, text: object) -> str:
        if not isinstance(text, str) or not normalise(text):
            raise self._error(text, f"“{text}” must be words")
        return normalise(text)

    def _intent(self, name: object, body: object) -> None:
        if name not in INTENTS:
            raise self._error(name, f"there is no intent “{name}”")
        for block in self._items(
            self._table(body, str(name), {"data"}, name).get("data"), name, f"the data of {name}"
        ):
            table = self._table(block, f"the data of {name}", {"sentences", "slots"}, name)
            fixed = self._table(table.get("slots", {}), f"the slots of {name}", near=name)
            slots = {str(key): _plain(value) for key, value in fixed.items()}
            sentences = self._items(table.get("sentences"), name, f"the sentences of {name}")
            self.sentences.extend(
                IntentTemplate(str(name), self._template(text, name), slots) for text in sentences
            )

    def _list(self, name: object, body: object) -> SlotList:
        table = self._table(body, f"list {name}", _LIST_KINDS | {"cost"}, name)
        if len(_LIST_KINDS & set(table)) != 1:
            raise self._error(name, f"list “{name}” needs one of: {', '.join(sorted(_LIST_KINDS))}")
        cost = table.get("cost", 1)
        if ("cost" in table and "wildcard" not in table) or not isinstance(cost, int) or cost < 1:
            raise self._error(name, "a “cost” is a whole number above 0, and of a wildcard")
        if "wildcard" in table:
            return OpenList(cost)
        if "range" in table:
            return self._range(
                name, self._table(table["range"], f"range {name}", _RANGE_KEYS, name)
            )
        values = self._items(table["values"], name, f"the values of {name}")
        return TextList(tuple(self._value(value, name) for value in values))

    def _range(self, name: object, table: Mapping[Any, Any]) -> RangeList:
        numerals = table.get("numerals", DEFAULT_NUMERALS.get(self.language))
        numerals = tuple(numerals) if isinstance(numerals, list) else (numerals,)
        if not numerals or any(each not in list(NUMERALS) for each in numerals):
            raise self._error(name, f"numerals must be one of: {', '.join(NUMERALS)}")
        bounds = [table.get("from"), table.get("to"), table.get("step", 1)]
        bounds.append(table.get("multiplier", 1))
        if not all(isinstance(bound, int) for bound in bounds):
            raise self._error(name, f"range {name} needs whole numbers “from” and “to”")
        start, stop, step, multiplier = bounds
        if not 0 <= start <= stop <= _LARGEST or step < 1 or multiplier == 0:
            raise self._error(
                name,
                f"range {name} must go up, within 0 and {_LARGEST}; below 0 with “multiplier: -1”",
            )
        return RangeList(start, stop, step, multiplier, tuple(str(n) for n in numerals))

    def _value(self, entry: object, near: object) -> ListValue:
        if isinstance(entry, str):
            return ListValue(self._template(entry, near), str(entry), {})
        table = self._table(entry, "a list value", {"in", "out", "names"}, near)
        text = table.get("in")
        value = _plain(table.get("out", text))
        if not isinstance(text, str) or not isinstance(value, str | int):
            raise self._error(
                next(iter(table), near),
                "a list value needs the text “in” and, if not the same, “out”",
            )
        names = self._table(table.get("names", {}), "names", near=text)
        return ListValue(
            self._template(text, near), value, {str(k): str(v) for k, v in names.items()}
        )

    def _template(self, text: object, near: object) -> Template:
        if not isinstance(text, str):
            raise self._error(near, f"“{text}” must be text: put it in quotes")
        origin = Origin(self.path, getattr(text, "line", 0))
        try:
            return Template(parse_sentence(text).expression, origin, str(text))
        except (ParseError, ValueError, AssertionError) as error:
            raise origin.error(f"the template “{text}” cannot be parsed: {error}") from None

    def _section(self, top: Mapping[Any, Any], name: str) -> Iterable[tuple[Any, Any]]:
        """The entries of a table at the top of the file, if it is there."""
        key = next((key for key in top if key == name), None)
        return self._table(top[key], name, near=key).items() if key is not None else ()

    def _listed(self, top: Mapping[Any, Any], name: str) -> Sequence[Any]:
        """The entries of a list at the top of the file, if it is there."""
        key = next((key for key in top if key == name), None)
        return self._items(top[key], key, name) if key is not None else ()

    def _items(self, raw: object, near: object, what: str) -> Sequence[Any]:
        if not isinstance(raw, list) or not raw:
            raise self._error(near, f"{what} must be a list")
        return raw

    def _table(
        self, raw: object, what: str, keys: Iterable[str] | None = None, near: object = None
    ) -> Mapping[Any, Any]:
        if not isinstance(raw, dict):
            raise self._error(near or raw, f"{what} must be a table of keys and values")
        for key in raw:
            if keys is not None and key not in keys:
                raise self._error(key, f"unknown key “{key}”; known: {', '.join(sorted(keys))}")
        return raw

    def _speaks_of(self, name: object) -> None:
        self.spoken_of[str(name)] = Origin(self.path, getattr(name, "line", 0))

    def _new(self, name: object, known: Mapping[str, object], what: str) -> None:
        if name in known:
            raise self._error(name, f"the {what} “{name}” is defined twice")

    def _error(self, near: object, problem: str) -> TemplateError:
        return TemplateError(self.path, getattr(near, "line", 0), problem)


class _Checker:
    """Checks references and slots of what was read."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def check(self) -> None:
        for name, rule in self._templates.rules.items():
            self._references(rule, rule.expression, (name,))
        for entry in self._templates.lists.values():
            for value in entry.values if isinstance(entry, TextList) else ():
                self._references(value.template, value.template.expression, ())
                if self._has_list(value.template.expression):
                    raise value.template.origin.error("a list value cannot refer to a list")
        for sentence in self._templates.sentences:
            self._sentence(sentence)

    def _references(
        self, template: Template, expression: Expression, seen: tuple[str, ...]
    ) -> None:
        """Refuse names that do not exist and rules that contain themselves."""
        for part in _walk(expression):
            if isinstance(part, ListReference) and part.list_name not in self._templates.lists:
                raise template.origin.error(f"there is no list {{{part.list_name}}}")
            if isinstance(part, RuleReference):
                rule = self._templates.rules.get(part.rule_name)
                if rule is None:
                    raise template.origin.error(f"there is no rule <{part.rule_name}>")
                if part.rule_name in seen:
                    raise template.origin.error(f"the rule <{part.rule_name}> contains itself")
                self._references(template, rule.expression, (*seen, part.rule_name))

    def _has_list(self, expression: Expression) -> bool:
        rules = self._templates.rules
        return any(
            isinstance(part, ListReference)
            or (
                isinstance(part, RuleReference) and self._has_list(rules[part.rule_name].expression)
            )
            for part in _walk(expression)
        )

    def _sentence(self, sentence: IntentTemplate) -> None:
        origin = sentence.template.origin
        self._references(sentence.template, sentence.template.expression, ())
        contract = INTENTS[sentence.intent]
        for slot, value in sentence.slots.items():
            if slot not in contract or not contract[slot].accepts(value):
                raise origin.error(f"{sentence.intent} cannot have {slot} = {value!r}")
        said = self._slots(origin, sentence.template.expression, contract)
        missing = {n for n, s in contract.items() if s.required} - said - set(sentence.slots)
        if missing:
            raise origin.error(
                f"{sentence.intent} needs the slot “{min(missing)}” whatever way this is said"
            )

    def _slots(
        self, origin: Origin, expression: Expression, contract: Mapping[str, Slot]
    ) -> set[str]:
        """Check the slots an expression fills; return those it fills whatever way it is said."""
        if isinstance(expression, ListReference):
            self._slot_values(origin, expression, contract)
            return {expression.slot_name}
        if isinstance(expression, RuleReference):
            rule = self._templates.rules[expression.rule_name]
            collected = self._templates.collect.get(expression.rule_name)
            if collected is None:
                return self._slots(origin, rule.expression, contract)
            if collected not in contract or contract[collected].kind is not list:
                raise origin.error(f"the rule <{expression.rule_name}> fills “{collected}”")
            inner = contract[collected].fields
            said = self._slots(rule.origin, rule.expression, inner)
            if missing := {n for n, s in inner.items() if s.required} - said:
                raise rule.origin.error(f"each of “{collected}” needs “{min(missing)}”")
            return {collected}
        if not isinstance(expression, Group):
            return set()
        parts = [self._slots(origin, item, contract) for item in expression.items]
        if isinstance(expression, Alternative):
            return set.intersection(*parts) if parts else set()
        return set().union(*parts)

    def _slot_values(
        self, origin: Origin, reference: ListReference, contract: Mapping[str, Slot]
    ) -> None:
        slot = contract.get(reference.slot_name)
        if slot is None:
            raise origin.error(f"there is no slot “{reference.slot_name}” in this intent")
        entry = self._templates.lists[reference.list_name]
        if isinstance(entry, RangeList) and not slot.accepts(entry.start):
            raise origin.error(f"the slot “{reference.slot_name}” does not hold numbers")
        if isinstance(entry, OpenList) and (slot.kind is not str or slot.choices):
            raise origin.error(f"the slot “{reference.slot_name}” cannot hold just any words")
        for value in entry.values if isinstance(entry, TextList) else ():
            if not slot.accepts(value.value):
                raise value.template.origin.error(
                    f"{value.value!r} cannot stand in the slot “{reference.slot_name}”"
                )


def _walk(expression: Expression) -> Iterator[Expression]:
    yield expression
    if isinstance(expression, Group):
        for item in expression.items:
            yield from _walk(item)


def _literals(expression: Expression) -> Iterator[str]:
    for part in _walk(expression):
        if isinstance(part, TextChunk) and (text := part.text.strip()) and not text.isdigit():
            yield part.text


def _plain(value: object) -> object:
    """A string without its line, so that nothing else sees our subclass."""
    return str(value) if isinstance(value, str) else value
