"""What the panel says and does when something has become of a request."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from soripan.dialog.builtin import Builtin
from soripan.dialog.responses import Responses
from soripan.dialog.shopping import ShoppingList
from soripan.events import Error, EventBus, ReplyReady, RequestMade, StateChanged
from soripan.mqtt.delivery import (
    Accepted,
    Answered,
    Delivery,
    Dropped,
    Outcome,
    PassedOn,
    Refused,
    Silent,
)
from soripan.mqtt.messages import PropertyAction, Reply, Request
from soripan.mqtt.outbox import Entry
from soripan.nlu.intents import Intent


@dataclass(frozen=True, slots=True)
class FollowUp:
    """An assistant wants an answer."""

    assistant: str
    session: str
    """That of the question, so that the assistant knows what it is about."""


@dataclass(frozen=True, slots=True)
class News:
    """What became of a request, and what was said about it."""

    key: str
    speech: str
    assistant: str
    refused: bool = False
    follow_up: FollowUp | None = None


class Responder:
    """Answers for the assistants.

    Args:
        bus: where it tells what it says.
        responses: the sentences to say it with.
        builtin: remembers what was said last.
        delivery: of the requests.
        shopping: the panel's own list.
        act: sets a property of an appliance, as a bridge wants it.
    """

    def __init__(
        self,
        bus: EventBus,
        responses: Responses,
        builtin: Builtin,
        delivery: Delivery,
        shopping: ShoppingList,
        act: Callable[[PropertyAction], None],
    ) -> None:
        self._bus = bus
        self._responses = responses
        self._builtin = builtin
        self._delivery = delivery
        self._shopping = shopping
        self._act = act
        self.publish_shopping()

    def poll(self) -> list[News]:
        """What has become of requests since the last call. Never waits."""
        outcomes = self._delivery.poll()
        purchases = self._delivery.purchases()
        for purchase in purchases:
            self._shopping.note(purchase)
        if purchases:
            self.publish_shopping()
        news = [self._respond(outcome) for outcome in outcomes]
        for each in news:
            self._builtin.said(each.speech)
        return news

    def publish_shopping(self) -> None:
        """Publish the shopping list, retained."""
        value = self._shopping.published()
        self._bus.publish(StateChanged(appliance="shopping", property="list", value=value))

    def _respond(self, outcome: Outcome) -> News:
        match outcome:
            case Accepted(entry, there):
                return self._made(entry, self._sent(entry.request) if there else self._text("kept"))
            case PassedOn(entry, before, why):
                key = "passed_on_unsupported" if why == "unsupported" else "passed_on"
                speech = self._text(key, assistant=before, other=entry.request.assistant)
                return self._made(entry, speech)
            case Refused(entry, code, why):
                return self._error(entry, code, self._text(code), why, refused=True)
            case Silent(entry):
                assistant = entry.request.assistant
                speech = self._text("order_waiting", assistant=assistant)
                why = f"{assistant} has not answered yet; asking again"
                return self._error(entry, "waiting", speech, why)
            case Dropped(entry, code):
                why = "nobody is there" if code == "nobody" else "nobody answered in time"
                why = f"{why}: {entry.request.text}"
                return self._error(entry, code, self._text(code), why, refused=True)
            case Answered(entry, reply):
                return self._answered(entry, reply)

    def _made(self, entry: Entry, speech: str) -> News:
        request = entry.request
        self._bus.publish(
            RequestMade(
                session=request.session,
                id=request.id,
                assistant=request.assistant,
                kind=request.kind,
                text=request.text,
                speech=speech,
            )
        )
        return News(entry.key, speech, request.assistant)

    def _error(self, entry: Entry, code: str, speech: str, why: str, refused: bool = False) -> News:
        session = entry.request.session
        self._bus.publish(Error(session=session, code=code, message=why, speech=speech))
        return News(entry.key, speech, entry.request.assistant, refused)

    def _answered(self, entry: Entry, reply: Reply) -> News:
        """Say who answered, and what."""
        request = entry.request
        speech = self._answer(request, reply)
        self._bus.publish(
            ReplyReady(
                session=request.session,
                id=request.id,
                assistant=request.assistant,
                status=reply.status,
                speech=speech,
                display=reply.display,
            )
        )
        for action in reply.actions:
            self._act(action)
        asks = reply.expect_answer and reply.status == "ok"
        follow_up = FollowUp(request.assistant, request.session) if asks else None
        return News(entry.key, speech, request.assistant, reply.status != "ok", follow_up)

    def _answer(self, request: Request, reply: Reply) -> str:
        if reply.speech:
            return self._text("answered", assistant=request.assistant, speech=reply.speech)
        if reply.status != "ok":
            return self._text(reply.status, assistant=request.assistant)
        if request.kind == "shopping" and request.items:
            key = "order_confirmed" if request.intent == "ShoppingOrder" else "list_confirmed"
            items = self._responses.items(_plain(request))
            return self._text(key, assistant=request.assistant, items=items)
        return self._text("done", assistant=request.assistant)

    def _sent(self, request: Request) -> str:
        """What is said when a request leaves."""
        slots = {"items": _plain(request)} if request.items else {}
        intent = Intent(request.intent, slots) if request.intent else None
        return self._responses.sent(request.kind, request.assistant, intent)

    def _text(self, key: str, **values: object) -> str:
        return self._responses.text(key, **values)


def _plain(request: Request) -> list[dict[str, object]]:
    items: list[dict[str, object]] = msgspec.to_builtins(request.items or [])
    return items
