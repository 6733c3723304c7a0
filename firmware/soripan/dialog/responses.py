"""What the panel answers: sentences from ``responses.toml`` of its language.

In a sentence, ``{name}`` stands for a value; ``{name:02}`` for a number in at least two digits. If
the table ``[words.name]`` has the value, its word there is said ("ice_maker" = "제빙기").
``{을/를}`` is the form of a Korean particle that fits the word before it, and ``{s}`` the plural
ending of an English word, unless the number before that word is 1.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from soripan.exc import ConfigError
from soripan.nlu.intents import Intent
from soripan.nlu.particles import PARTICLES, choose

_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_PLACEHOLDER: Final = re.compile(r"([a-z][a-z_]*)(?::0([1-9]))?")
_COUNTED: Final = re.compile(r"(\d+)\s+\w+$")
_SIBILANT: Final = re.compile(r"(s|x|z|ch|sh)$")


class Responses:
    """The sentences of a language.

    Args:
        folder: of all languages; holds ``ko`` and ``en``.
        language: which.

    Raises:
        ConfigError: the file is missing or wrong.
    """

    def __init__(self, folder: Path, language: str) -> None:
        self._path = folder / language / "responses.toml"
        self._words: dict[str, Mapping[str, str]] = {}
        self._sentences: dict[str, str] = {}
        for key, value in self._load().items():
            if key == "words":
                self._words = self._check_words(value)
            else:
                self._sentences[key] = self._check(key, value)

    @property
    def placeholders(self) -> dict[str, frozenset[str]]:
        """The keys of all sentences, with the values each can say."""
        return {
            key: frozenset(
                match[1]
                for field in _FIELD.findall(text)
                if field != "s" and (match := _PLACEHOLDER.fullmatch(field))
            )
            for key, text in self._sentences.items()
        }

    def text(self, key: str, **values: object) -> str:
        """A sentence with its values.

        Raises:
            ConfigError: there is no such sentence, or it wants to say what is not known.
        """
        if key not in self._sentences:
            raise ConfigError(self._path, key, "there is no such sentence", "add it")
        said = ""
        sentence = self._sentences[key]
        end = 0
        for field in _FIELD.finditer(sentence):
            said += sentence[end : field.start()]
            said += self._field(key, field[1], said, values)
            end = field.end()
        return " ".join((said + sentence[end:]).split())

    def word(self, table: str, value: str) -> str:
        """What a value is called when it is spoken; itself, if nothing else is known."""
        return self._words.get(table, {}).get(value, value)

    def duration(self, seconds: int) -> str:
        """A length of time: "1시간 30분"."""
        parts = {"hours": seconds // 3600, "minutes": seconds // 60 % 60, "seconds": seconds % 60}
        said = [self.text(key, count=n) for key, n in parts.items() if n]
        return " ".join(said) or self.text("seconds", count=0)

    def time(self, hour: int, minute: int) -> str:
        """The time of day, on a clock of 12 hours."""
        values = {"half": "am" if hour < 12 else "pm", "hour": hour % 12 or 12, "minute": minute}
        return self.text("time" if minute else "time_sharp", **values)

    def date(self, year: int, month: int, day: int, weekday: int) -> str:
        """The date; ``weekday`` counts from Monday = 0."""
        return self.text("date", year=year, month=month, day=day, weekday=weekday)

    def items(self, items: Iterable[Mapping[str, Any]]) -> str:
        """Things to buy, as in the slot ``items``: "우유 2병, 계란 1판"."""
        said = [self._item(item) for item in items]
        if len(said) < 2:
            return "".join(said)
        return self.text("list", first=", ".join(said[:-1]), last=said[-1])

    def sent(self, kind: str, assistant: str, intent: Intent | None) -> str:
        """What is said when a request left.

        Args:
            kind: of the request: ``unresolved``, ``shopping`` or ``directed``.
            assistant: who gets it.
            intent: what was understood, if anything.
        """
        if kind == "shopping" and intent is not None:
            key = "order_sent" if intent.name == "ShoppingOrder" else "shopping_sent"
            return self.text(key, items=self.items(intent.slots["items"]), assistant=assistant)
        if kind == "directed" and intent is not None and intent.name != "AskAssistant":
            return self.text("home_sent", assistant=assistant)
        return self.text(f"{kind}_sent", assistant=assistant)

    def _item(self, item: Mapping[str, Any]) -> str:
        quantity, unit = item.get("quantity", 1), item.get("unit")
        if unit:
            return self.text("item_unit", name=item["name"], quantity=quantity, unit=unit)
        key = "item" if quantity == 1 else "item_counted"
        return self.text(key, name=item["name"], quantity=quantity)

    def _field(self, key: str, field: str, before: str, values: Mapping[str, object]) -> str:
        if field in PARTICLES:
            return choose(field, before)
        if field == "s":
            return _plural(before)
        name, width = _split(field)
        if name not in values:
            problem = f"{{{name}}} is not known here"
            raise ConfigError(self._path, key, problem, f"known: {', '.join(values) or 'nothing'}")
        return self.word(name, str(values[name])).zfill(width)

    def _load(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(self._path, "", "no such file", "a language needs one") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(self._path, "", f"cannot be read: {error}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(self._path, "", f"is not TOML: {error}") from None

    def _check(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            raise ConfigError(self._path, key, "must be text", "put it in quotes")
        if any(brace in _FIELD.sub("", value) for brace in "{}"):
            raise ConfigError(self._path, key, "a { or } stands alone")
        for field in _FIELD.findall(value):
            if field not in PARTICLES and not _PLACEHOLDER.fullmatch(field):
                known = ", ".join(sorted(PARTICLES))
                problem = f"{{{field}}} is neither a value nor a particle"
                raise ConfigError(self._path, key, problem, f"particles: {known}")
        return value

    def _check_words(self, tables: object) -> dict[str, Mapping[str, str]]:
        if not isinstance(tables, dict):
            raise ConfigError(self._path, "words", "must hold tables", "as in [words.target]")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise ConfigError(self._path, f"words.{name}", "must be a table")
            for word, said in table.items():
                if not isinstance(said, str):
                    raise ConfigError(self._path, f"words.{name}.{word}", "must be text")
        return tables


def _split(field: str) -> tuple[str, int]:
    """The name and the width of a placeholder."""
    name, _, width = field.partition(":0")
    return name, int(width or 0)


def _plural(before: str) -> str:
    counted = _COUNTED.search(before)
    if counted and int(counted[1]) == 1:
        return ""
    return "es" if _SIBILANT.search(before) else "s"
