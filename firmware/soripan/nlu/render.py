"""From an intent to a sentence: what was said in one language, in the words of another.

An assistant behind MQTT that knows English only can be told what somebody asked for in Korean. The
sentences are the templates of the other language read backwards: of a sentence that has the right
slots, the first of its (alternatives|...), and of its [options] only those that say a slot.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from hassil import (
    Alternative,
    Expression,
    Group,
    ListReference,
    RuleReference,
    TextChunk,
)

from soripan.nlu.intents import INTENTS, Intent, Slot
from soripan.nlu.templates import OpenList, RangeList, Templates, TextList


@dataclass(frozen=True, slots=True)
class _State:
    """How far a sentence has come."""

    left: Mapping[str, Any]
    """Slots still to be said; of a number, what is left of it."""
    contract: Mapping[str, Slot]
    """The slots there can be."""
    plural: bool = False
    """Whether it is about more than one thing."""

    def after(self, slot: str, rest: Any = None) -> "_State":
        """The state when a slot has been said, or all of it but a rest."""
        left = {name: value for name, value in self.left.items() if name != slot}
        return replace(self, left={**left, slot: rest} if rest else left)


_Said = Iterator[tuple[str, _State]]
"""Ways to go on: a text, and the state after it."""


class Renderer:
    """Says intents in the language of some templates.

    Args:
        templates: of the language to speak.
        spoken: of the language the intents come from, if it is another: for the ``names`` of things
            in its lists.
    """

    def __init__(self, templates: Templates, spoken: Templates | None = None) -> None:
        self._templates = templates
        self._names: dict[tuple[str, str], dict[object, str]] = {}
        if spoken is not None:
            seen: set[tuple[str, str]] = set()
            for sentence in spoken.sentences:
                self._collect_names(spoken, sentence.template.expression, "", seen)
        self._filled: dict[str, frozenset[str]] = {}

    def render(self, intent: Intent) -> str:
        """A sentence for an intent; if there is none, ``Intent(slot=value)``."""
        contract = INTENTS.get(intent.name, {})
        # What has an empty name is not said in this language.
        slots = {
            name: said
            for name, value in intent.slots.items()
            if (said := self._translate("", name, value)) != ""
        }
        for sentence in self._templates.sentences:
            if sentence.intent != intent.name or any(
                name not in slots or slots[name] != value for name, value in sentence.slots.items()
            ):
                continue
            left = {name: v for name, v in slots.items() if name not in sentence.slots}
            for text, state in self._say(sentence.template.expression, _State(left, contract)):
                if not state.left:
                    return " ".join(text.replace("minus -", "-").split())
        said = ", ".join(f"{name}={value}" for name, value in intent.slots.items())
        return f"{intent.name}({said})"

    def _say(self, expression: Expression, state: _State) -> _Said:
        if isinstance(expression, TextChunk):
            yield expression.text, state
        elif isinstance(expression, ListReference):
            yield from self._list(expression, state)
        elif isinstance(expression, RuleReference):
            yield from self._rule(expression.rule_name, state)
        elif isinstance(expression, Alternative):
            for item in self._choices(expression, state):
                yield from self._say(item, state)
        elif isinstance(expression, Group):
            yield from self._sequence(expression.items, state)

    def _sequence(self, items: Sequence[Expression], state: _State) -> _Said:
        if not items:
            yield "", state
            return
        for text, after in self._say(items[0], state):
            for rest, end in self._sequence(items[1:], after):
                yield text + rest, end

    def _choices(self, expression: Alternative, state: _State) -> Iterator[Expression]:
        """The alternatives worth trying: those that can say a slot, and one that says none."""
        plain = False
        for item in expression.items:
            fills = self._fills(item)
            empty = isinstance(item, TextChunk) and item.is_empty
            if expression.is_optional and not empty and not fills & set(state.left):
                continue
            if fills or not plain:
                yield item
            plain = plain or not fills

    def _rule(self, name: str, state: _State) -> _Said:
        for text, after in self._once(name, state):
            if name in self._templates.repeat and after != state and after.left:
                for more, end in self._rule(name, after):
                    yield f"{text} {more}", end
            yield text, after

    def _once(self, name: str, state: _State) -> _Said:
        expression = self._templates.rules[name].expression
        slot = self._templates.collect.get(name)
        if slot is None:
            yield from self._say(expression, state)
            return
        objects = state.left.get(slot)
        if not isinstance(objects, list) or not objects or not isinstance(objects[0], Mapping):
            return
        fields = state.contract[slot].fields if slot in state.contract else {}
        for left in self._needs(slot, objects[0], fields):
            inner = _State(left, fields, plural=left.get("quantity", 1) != 1)
            for text, after in self._say(expression, inner):
                if not after.left:
                    yield text, state.after(slot, objects[1:])
                    return

    def _needs(
        self, slot: str, item: Mapping[str, Any], fields: Mapping[str, Slot]
    ) -> Iterator[dict[str, Any]]:
        """What must be said of an object: first without what is understood anyway, then all."""
        whole = {
            name: said
            for name, value in item.items()
            if (said := self._translate(slot, name, value)) != ""
        }
        yield {n: v for n, v in whole.items() if n not in fields or fields[n].default != v}
        yield whole

    def _list(self, reference: ListReference, state: _State) -> _Said:
        entry, slot = self._templates.lists[reference.list_name], reference.slot_name
        value = state.left.get(slot)
        if isinstance(entry, OpenList) and isinstance(value, str):
            yield value, state.after(slot)
        elif isinstance(entry, RangeList) and isinstance(value, int):
            number = min(value // entry.multiplier, entry.stop)
            number -= (number - entry.start) % entry.step
            if number >= entry.start:
                sign = "-" if entry.multiplier < 0 else ""
                yield f"{sign}{number}", state.after(slot, value - number * entry.multiplier)
        elif isinstance(entry, TextList):
            for each in entry.values:
                text = _plain(self._templates, each.template.expression, state.plural)
                if each.value == value:
                    yield text, state.after(slot)
                elif isinstance(value, int) and isinstance(each.value, int) and each.value < value:
                    yield text, state.after(slot, value - each.value)

    def _fills(self, expression: Expression) -> frozenset[str]:
        """The slots an expression can say."""
        if isinstance(expression, ListReference):
            return frozenset({expression.slot_name})
        if isinstance(expression, RuleReference):
            name = expression.rule_name
            if name not in self._filled:
                slot = self._templates.collect.get(name)
                self._filled[name] = (
                    frozenset({slot})
                    if slot is not None
                    else self._fills(self._templates.rules[name].expression)
                )
            return self._filled[name]
        if isinstance(expression, Group):
            return frozenset[str]().union(*(self._fills(item) for item in expression.items))
        return frozenset()

    def _translate(self, of: str, slot: str, value: Any) -> Any:
        """A value in the language of the templates, if its list has a name for it."""
        if not isinstance(value, str):
            return value
        return self._names.get((of, slot), {}).get(value, value)

    def _collect_names(
        self, spoken: Templates, expression: Expression, of: str, seen: set[tuple[str, str]]
    ) -> None:
        """Note the names in all lists, by slot (for objects, by their slot and its own)."""
        if isinstance(expression, ListReference):
            entry = spoken.lists[expression.list_name]
            names = self._names.setdefault((of, expression.slot_name), {})
            for value in entry.values if isinstance(entry, TextList) else ():
                if self._templates.language in value.names:
                    names.setdefault(value.value, value.names[self._templates.language])
        elif isinstance(expression, RuleReference):
            name = expression.rule_name
            if (name, of) not in seen:
                seen.add((name, of))
                inner = spoken.collect.get(name, of)
                self._collect_names(spoken, spoken.rules[name].expression, inner, seen)
        elif isinstance(expression, Group):
            for item in expression.items:
                self._collect_names(spoken, item, of, seen)


def _plain(templates: Templates, expression: Expression, plural: bool) -> str:
    """The text of a list value; its options are the endings of a plural ("bottle[s]")."""
    if isinstance(expression, TextChunk):
        return expression.text
    if isinstance(expression, RuleReference):
        return _plain(templates, templates.rules[expression.rule_name].expression, plural)
    if isinstance(expression, Alternative):
        if expression.is_optional and not plural:
            return ""
        return _plain(templates, expression.items[0], plural)
    items = cast("Group", expression).items
    return "".join(_plain(templates, item, plural) for item in items)
