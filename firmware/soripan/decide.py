"""From a transcript to what is done about it: understand, route, act, answer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from soripan.appliances import Appliance
from soripan.asr.recogniser import Transcript
from soripan.config import Config
from soripan.dialog.builtin import Builtin
from soripan.dialog.responses import Responses
from soripan.dialog.router import PANEL, Route, Router
from soripan.dialog.understand import understand
from soripan.events import Action, Error, EventBus, IntentReady, RequestMade, TranscriptReady
from soripan.exc import DriverError, RefusedError
from soripan.mqtt.client import Client
from soripan.mqtt.messages import Item, Request
from soripan.nlu.intents import Intent
from soripan.nlu.parser import Parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An utterance that wants an answer."""

    session: str
    transcript: Transcript
    addressed: str = PANEL
    """The assistant that the wake word addresses."""
    wake_word: str | None = None


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
    """Who got the request."""
    wake_word: str | None = None
    speech: str = ""
    """What the panel says, in its language."""
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
        client: the way to the assistants; None: there is none.
    """

    def __init__(
        self,
        config: Config,
        bus: EventBus,
        parser: Parser,
        responses: Responses,
        builtin: Builtin,
        appliances: Mapping[str, Appliance],
        client: Client | None,
    ) -> None:
        self._settings = config.settings
        self._bus = bus
        self._parser = parser
        self._responses = responses
        self._builtin = builtin
        self._appliances = appliances
        self._client = client
        self._router = Router(config.settings.router)

    def decide(self, heard: Heard) -> Result:
        """Do what was asked, or send it to whoever can, or refuse it; never silently."""
        began = time.monotonic()
        result = self._decide(heard)
        if result.intent != "Repeat":
            self._builtin.said(result.speech)
        return replace(result, timings={"decide": time.monotonic() - began})

    def _decide(self, heard: Heard) -> Result:
        transcript = heard.transcript
        if not transcript.alternatives:
            return self._refuse(heard, None, "no_speech", "nothing was said")
        understood = understand(transcript, self._parser, self._settings.asr.margin)
        text, confidence, intent = understood.text, understood.confidence, understood.intent
        self._bus.publish(
            TranscriptReady(session=heard.session, text=text, confidence=round(confidence, 3))
        )
        if intent is not None:
            self._bus.publish(
                IntentReady(
                    session=heard.session, text=text, intent=intent.name, slots=intent.slots
                )
            )
        route = self._router.route(intent, text, confidence, heard.addressed)
        done = replace(
            Result(text=text, confidence=round(confidence, 3), decision=route.decision),
            wake_word=heard.wake_word,
            intent=intent.name if intent else None,
            slots=intent.slots if intent else {},
        )
        if route.decision == "rejected":
            return self._refuse(heard, done, "not_understood", f"not understood: {text}")
        if route.decision == "local" and intent is not None:
            return self._do(heard, done, intent)
        return self._send(heard, done, route, intent)

    def _do(self, heard: Heard, done: Result, intent: Intent) -> Result:
        """Let the panel or an appliance do it."""
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
            return self._refuse(heard, done, error.code, str(error), **error.values)
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
        """Hand the request to MQTT."""
        assistant, kind = route.assistant, route.kind
        if assistant is None or kind is None:
            raise ValueError(f"a request needs an assistant and a kind: {route}")
        done = replace(done, decision="away", kind=kind, assistant=assistant)
        if self._client is None:
            # The decision stands; it is only that nobody can be told.
            refused = self._refuse(heard, done, "no_broker", "there is no MQTT here")
            return replace(refused, decision="away")
        items = (intent.slots.get("items") if intent else None) or []
        request = Request(
            panel=self._settings.panel.id,
            appliance=next(iter(self._appliances), self._settings.panel.id),
            language=self._settings.panel.language,
            assistant=assistant,
            kind=kind,
            text=route.text,
            confidence=done.confidence,
            intent=intent.name if intent else None,
            items=[Item(**item) for item in items] or None,
            session=heard.session,
            attempt=1,
            reply_to=self._client.topics.reply,
        )
        expiry = None if kind == "shopping" else self._settings.router.expiry
        if not self._client.publish_request(request, expiry):
            return self._refuse(heard, done, "queue_full", "too many requests are waiting")
        speech = self._responses.sent(kind, assistant, intent)
        self._bus.publish(
            RequestMade(
                session=heard.session,
                id=request.id,
                assistant=assistant,
                kind=kind,
                text=route.text,
                speech=speech,
            )
        )
        return replace(done, speech=speech)

    def _refuse(
        self, heard: Heard, done: Result | None, code: str, message: str, **values: str | int
    ) -> Result:
        """Say no: with a sound, a sentence and an event."""
        speech = self._responses.text(code, **values)
        self._bus.publish(Error(session=heard.session, code=code, message=message, speech=speech))
        if done is None:
            done = Result(text="", confidence=0.0, decision="rejected", wake_word=heard.wake_word)
        return replace(done, decision="rejected", speech=speech)
