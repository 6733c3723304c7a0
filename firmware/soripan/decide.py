"""From a transcript to what is done about it: understand, route, act, answer."""

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from soripan.appliances import Appliance
from soripan.asr.recogniser import Transcript
from soripan.config import Config
from soripan.dialog.builtin import Builtin
from soripan.dialog.confirmation import Confirmation, mask
from soripan.dialog.pin import Pin
from soripan.dialog.responses import Responses
from soripan.dialog.router import PANEL, Route, Router
from soripan.dialog.shopping import ShoppingList, check_order
from soripan.dialog.understand import is_certain, understand
from soripan.events import Action, Error, EventBus, IntentReady, Question, TranscriptReady
from soripan.exc import DriverError, RefusedError
from soripan.mqtt.delivery import Delivery
from soripan.mqtt.messages import Item, Request
from soripan.mqtt.topics import Topics
from soripan.nlu.intents import ANSWERS, Intent
from soripan.nlu.parser import Parser
from soripan.responder import FollowUp
from soripan.secret import read_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An utterance that wants an answer."""

    session: str
    transcript: Transcript
    addressed: str = PANEL
    """The assistant that the wake word addresses."""
    wake_word: str | None = None
    contrast: float | None = None
    """How much louder it was than what is around it, dB; None: it was not heard but written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of an utterance: the object that ``--json`` prints."""

    text: str
    """The transcript; empty if nothing was said."""
    confidence: float
    """0..1."""
    intent: str | None = None
    slots: Mapping[str, Any] = field(default_factory=dict)
    decision: Literal["local", "away", "rejected"]
    kind: str | None = None
    """Of the request: ``unresolved``, ``shopping`` or ``directed``."""
    assistant: str | None = None
    """Who gets the request."""
    wake_word: str | None = None
    speech: str = ""
    """What the panel says, in its language."""
    asks: bool = False
    """Whether it asks something, and listens for the answer without a wake word."""
    request: str | None = None
    """Key of the request, which is still on its way to the disk; nothing is said before."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds. Of the sound: ``wake`` when the wake word was noticed, ``speech_end`` when the last
    word ended. From there: ``endpoint`` until the utterance counted as over, ``decide`` from then
    until it was done or sent, ``action`` all together."""


class Decider:
    """Decides what becomes of each utterance, and does it.

    Args:
        config: all settings.
        bus: where it tells what it does.
        parser: understands the panel's language.
        responses: the sentences to answer with.
        builtin: what the panel does without an appliance.
        appliances: those that the panel controls.
        delivery: the way to the assistants; None: there is none.
        shopping: the panel's own list.

    Raises:
        ConfigError: orders need a PIN, and its file cannot be used.
    """

    def __init__(
        self,
        config: Config,
        bus: EventBus,
        parser: Parser,
        responses: Responses,
        builtin: Builtin,
        appliances: Mapping[str, Appliance],
        delivery: Delivery | None,
        shopping: ShoppingList,
    ) -> None:
        self._settings = config.settings
        self._bus = bus
        self._parser = parser
        self._responses = responses
        self._builtin = builtin
        self._appliances = appliances
        self._delivery = delivery
        self._shopping = shopping
        self._router = Router(config.settings.router)
        self._topics = Topics(config.settings.mqtt.prefix, config.settings.panel.id)
        self._asking: _Order | FollowUp | None = None
        self._pin: Pin | None = None
        if file := config.settings.shopping.pin_file:
            self._pin = Pin(read_secret(file, "shopping.pin_file"), file)

    @property
    def asking(self) -> bool:
        """Whether somebody was asked something, and has not answered yet."""
        return self._asking is not None

    @property
    def secret(self) -> bool:
        """Whether the answer must be kept nowhere, because it may hold the PIN."""
        return isinstance(self._asking, _Order) and self._asking.talk.secret

    def follow_up(self, question: FollowUp, speech: str) -> None:
        """Take the next utterance as the answer to what an assistant asked."""
        self._asking = question
        self._ask(question.session, question.assistant, speech)

    def decide(self, heard: Heard) -> Result:
        """Do what was asked, or send it to whoever can, or refuse it; never silently."""
        began = time.monotonic()
        result = self._decide(heard)
        if result.intent != "Repeat":
            self._builtin.said(result.speech)
        return replace(result, timings={"decide": time.monotonic() - began})

    def _decide(self, heard: Heard) -> Result:
        secret = self.secret
        asking, self._asking = self._asking, None
        transcript = heard.transcript
        if not transcript.alternatives:
            key = "order_dropped" if isinstance(asking, _Order) else "no_speech"
            return self._refuse(heard, None, "no_speech", "nothing was said", sentence=key)
        understood = understand(transcript, self._parser, self._settings.asr.margin)
        intent = understood.intent
        text = mask(understood.text) if secret else understood.text
        confidence = round(understood.confidence, 3)
        self._bus.publish(TranscriptReady(session=heard.session, text=text, confidence=confidence))
        if intent is not None and not secret:
            self._bus.publish(
                IntentReady(
                    session=heard.session, text=text, intent=intent.name, slots=intent.slots
                )
            )
        done = replace(
            Result(text=text, confidence=confidence, decision="local"),
            wake_word=heard.wake_word,
            intent=intent.name if intent and not secret else None,
            slots=intent.slots if intent and not secret else {},
        )
        if isinstance(asking, _Order):
            written = heard.contrast is None
            certain = written or is_certain(understood, heard.contrast or 0.0)
            return self._confirm(heard, done, asking, intent, certain)
        if asking is not None and (intent is None or intent.name in ANSWERS):
            route = Route("away", "directed", (asking.assistant,), text)
            return self._send(replace(heard, session=asking.session), done, route, None)
        return self._route(heard, done, intent)

    def _route(self, heard: Heard, done: Result, intent: Intent | None) -> Result:
        """Let whoever can do it."""
        route = self._router.route(intent, done.text, done.confidence, heard.addressed)
        if route.decision == "rejected":
            return self._refuse(heard, done, "not_understood", f"not understood: {done.text}")
        if intent is not None and intent.name == "ShoppingOrder":
            return self._order(heard, done, route, intent)
        if route.decision == "local" and intent is not None:
            return self._do(heard, done, intent)
        return self._send(heard, done, route, intent)

    # Orders

    def _order(self, heard: Heard, done: Result, route: Route, intent: Intent) -> Result:
        """Ask whether it shall really be ordered."""
        settings = self._settings.shopping
        items = intent.slots["items"]
        now = datetime.datetime.now().time()
        try:
            check_order(settings, items, self._tv_plays(), now)
        except RefusedError as error:
            return self._refuse(heard, done, error.code, str(error), values=error.values)
        if self._pin is not None and self._pin.locked:
            return self._refuse(heard, done, "pin_locked", "the PIN was wrong too often")
        talk = Confirmation(items, route.text, self._responses, self._pin, settings.max_quantity)
        return self._asked(heard, done, _Order(talk, route), talk.question())

    def _confirm(
        self, heard: Heard, done: Result, order: "_Order", intent: Intent | None, certain: bool
    ) -> Result:
        """Take the answer to whether it shall be ordered."""
        step = order.talk.answer(intent, certain)
        if step.done == "asked":
            return self._asked(heard, done, order, step.speech)
        if step.done == "ordered":
            slots = {"items": order.talk.items}
            return self._send(heard, done, order.route, Intent("ShoppingOrder", slots))
        if step.done == "dropped":
            return self._acted(heard, done, intent or Intent("No"), None, step.speech)
        # Something else was wanted. A new order takes the place of the old one without a word.
        if intent is None or intent.name == "ShoppingOrder":
            return self._route(heard, done, intent)
        self._acted(heard, done, Intent("No"), None, step.speech)
        result = self._route(heard, done, intent)
        return replace(result, speech=f"{step.speech} {result.speech}".strip())

    def _asked(self, heard: Heard, done: Result, order: "_Order", speech: str) -> Result:
        self._asking = order
        self._ask(heard.session, "order", speech)
        return replace(done, decision="local", speech=speech, asks=True)

    def _ask(self, session: str, about: str, speech: str) -> None:
        self._bus.publish(Question(session=session, about=about, speech=speech))

    def _tv_plays(self) -> bool:
        """Whether a TV of this panel can be heard."""
        return any(
            state.get("power") == "on" and state.get("mute") != "on" and state.get("volume") != "0"
            for state in (each.state for each in self._appliances.values())
        )

    # Everything else

    def _do(self, heard: Heard, done: Result, intent: Intent) -> Result:
        """Let the panel or an appliance do it."""
        if intent.name == "Stop" and self._delivery is not None:
            self._delivery.stop()
        if intent.name == "ShoppingList":
            return self._acted(heard, done, intent, None, self._shopping.spoken(self._responses))
        try:
            answer = self._builtin.handle(intent)
            if answer is not None:
                return self._acted(heard, done, intent, None, answer)
            for appliance in self._appliances.values():
                outcome = appliance.handle(intent.name, intent.slots)
                if outcome is not None:
                    speech = self._responses.text(outcome.response, **outcome.values)
                    return self._acted(heard, done, intent, appliance, speech, outcome.changes)
        except RefusedError as error:
            return self._refuse(heard, done, error.code, str(error), values=error.values)
        except DriverError as error:
            return self._refuse(heard, done, "hardware", str(error))
        return self._send(heard, done, self._router.elsewhere(done.text), intent)

    def _acted(
        self,
        heard: Heard,
        done: Result,
        intent: Intent,
        appliance: Appliance | None,
        speech: str,
        changes: Mapping[str, str] | None = None,
    ) -> Result:
        self._bus.publish(
            Action(
                session=heard.session,
                intent=intent.name,
                appliance=appliance.id if appliance else None,
                changes=changes or {},
                speech=speech,
            )
        )
        return replace(done, speech=speech)

    def _send(self, heard: Heard, done: Result, route: Route, intent: Intent | None) -> Result:
        """Hand the request to the outbox. What is said about it follows when it is on the disk."""
        if route.kind is None or not route.assistants:
            raise ValueError(f"a request needs an assistant and a kind: {route}")
        assistant = route.assistants[0]
        done = replace(done, decision="away", kind=route.kind, assistant=assistant)
        if self._delivery is None:
            # The decision stands; it is only that nobody can be told.
            refused = self._refuse(heard, done, "no_broker", "there is no MQTT here")
            return replace(refused, decision="away")
        items = (intent.slots.get("items") if intent else None) or []
        request = Request(
            panel=self._settings.panel.id,
            appliance=next(iter(self._appliances), self._settings.panel.id),
            language=self._settings.panel.language,
            assistant=assistant,
            kind=route.kind,
            text=route.text,
            confidence=done.confidence,
            intent=intent.name if intent else None,
            items=[Item(**item) for item in items] or None,
            session=heard.session,
            attempt=1,
            reply_to=self._topics.reply,
        )
        return replace(done, request=self._delivery.submit(request, route.assistants))

    def _refuse(
        self,
        heard: Heard,
        done: Result | None,
        code: str,
        message: str,
        sentence: str = "",
        values: Mapping[str, str | int] = MappingProxyType({}),
    ) -> Result:
        """Say no: with a sound, a sentence and an event."""
        speech = self._responses.text(sentence or code, **values)
        self._bus.publish(Error(session=heard.session, code=code, message=message, speech=speech))
        if done is None:
            done = Result(text="", confidence=0.0, decision="rejected", wake_word=heard.wake_word)
        return replace(done, decision="rejected", speech=speech)


@dataclass(frozen=True, slots=True)
class _Order:
    """An order that waits to be confirmed."""

    talk: Confirmation
    route: Route
