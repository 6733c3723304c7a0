"""The one place where a panel is put together from its config.

One thread runs it: it takes frames from a source, hears the wake word, listens, decides and acts,
and in between looks after what came in over MQTT, from switches and from timers. Nothing here waits
for the network or the disk.
"""

import functools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np

from soripan import appliances as appliance_room
from soripan import ears
from soripan.appliances import Appliance
from soripan.asr.graph import Progress
from soripan.asr.models import ModelStore
from soripan.asr.recogniser import Alternative, Transcript, Word
from soripan.audio.denoise import NoiseSuppressor
from soripan.audio.frame import FRAME_SAMPLES, SAMPLE_RATE, Frame, Samples
from soripan.audio.microphone import MicrophoneSource
from soripan.audio.recordings import Recordings
from soripan.audio.source import Source
from soripan.audio.voice import Voice
from soripan.config import Config
from soripan.decide import Decider, Heard, Result
from soripan.dialog.builtin import Builtin
from soripan.dialog.responses import Responses
from soripan.dialog.router import PANEL
from soripan.dialog.session import Session, Utterance
from soripan.dialog.shopping import ShoppingList
from soripan.dialog.timers import Timers
from soripan.dialog.understand import is_answer, is_complete
from soripan.ears import Ears
from soripan.events import Error, EventBus, Listening, StateChanged, TimerDone, Wake
from soripan.exc import ApplianceError, DriverError, RefusedError
from soripan.mqtt.client import Client, SetMessage
from soripan.mqtt.delivery import Delivery
from soripan.mqtt.messages import PropertyAction
from soripan.mqtt.outbox import Outbox
from soripan.mqtt.publisher import Publisher
from soripan.nlu import templates
from soripan.nlu.grammar import compile_grammar
from soripan.nlu.parser import Parser
from soripan.nlu.text import normalise
from soripan.responder import News, Responder
from soripan.store import Store
from soripan.wake.detector import WakeWord

log = logging.getLogger(__name__)

LONGEST_QUESTION: Final = 30.0
"""Seconds after which the panel listens for an answer, even if it seems to speak still."""

_IDLE: Final = 0.2
"""Seconds that a silent source may keep the panel from everything else."""


class Panel:
    """Hears, decides and acts. One thread uses it.

    Args:
        config: all settings.
        bus: where it tells what it does.
        store: what survives a power failure; None: nothing does.
        client: the way to MQTT; None: the panel stays alone.
        outbox: keeps the requests; None: nothing is sent.

    Raises:
        TemplateError: a sentence template is wrong.
        DriverError: the hardware of an appliance is not there.
    """

    def __init__(
        self,
        config: Config,
        bus: EventBus,
        store: Store | None = None,
        client: Client | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._config = config
        self._bus = bus
        self._client = client
        language = config.settings.panel.language
        self._templates = templates.load(config.language_folder, language)
        self._grammar = compile_grammar(self._templates)
        self._responses = Responses(config.language_folder, language)
        self._builtin = Builtin(Timers(store), self._responses)
        self._ears: Ears | None = None
        self._session: Session | None = None
        self.voice: Voice | None = None
        """Says aloud what is published. The panel does not listen to it."""
        # While a question is asked aloud: when the panel listens for its answer at the latest.
        self._answer_due: float | None = None
        self._now = 0.0
        self._held: dict[str, _Held] = {}
        self._done: list[Result] = []
        self._frames: list[Samples] = []
        self._lag = _Lag()
        keep = config.settings.privacy.keep_audio
        self._recordings = Recordings(config.state_folder / "recordings") if keep else None
        if client is not None:
            Publisher(bus, client)
        self.appliances: Mapping[str, Appliance] = {
            each.id: appliance_room.create(each, bus, store) for each in config.appliances
        }
        parser = Parser(self._grammar)
        self._is_complete: Callable[..., bool] = functools.partial(is_complete, parser=parser)
        self._is_answer: Callable[[Transcript], bool] = functools.partial(
            is_answer, parser=parser, margin=config.settings.asr.margin
        )
        kept = outbox.purchases if outbox is not None else ()
        shopping = ShoppingList(kept, config.settings.shopping.remember)
        self._delivery: Delivery | None = None
        self._responder: Responder | None = None
        if client is not None and outbox is not None:
            self._delivery = Delivery(config.settings.router, client, outbox)
            self._responder = Responder(
                bus, self._responses, self._builtin, self._delivery, shopping, self._act
            )
        self._decider = Decider(
            config,
            bus,
            parser,
            self._responses,
            self._builtin,
            self.appliances,
            self._delivery,
            shopping,
        )
        if outbox is not None and outbox.set_aside is not None:
            message = f"the outbox was corrupt; what was in it is in {outbox.set_aside}"
            speech = self._responses.text("storage")
            bus.publish(Error(code="storage", message=message, speech=speech))
        for appliance in self.appliances.values():
            for name, value in appliance.state.items():
                bus.publish(StateChanged(appliance=appliance.id, property=name, value=value))

    def close(self) -> None:
        """Let the hardware go, and write what waits to be written."""
        for appliance in self.appliances.values():
            appliance.close()
        if self._recordings is not None:
            self._recordings.close()

    # Hearing

    def open_ears(self, models: ModelStore, progress: Progress = log.info) -> None:
        """Load the recogniser and the wake words; takes seconds, or a minute after a change.

        Raises:
            ModelError: a model is missing or damaged.
            ToolMissingError: OpenFst, which builds the listening graph, is not installed.
            TemplateError: a sentence has a word that the recogniser does not know.
        """
        self._ears = ears.open_ears(self._config, models, self._templates, self._grammar, progress)

    def hear(self, frame: Frame) -> None:
        """Take the next frame."""
        heard_with = self._open_ears()
        self._now = frame.end
        self._lag.update(frame)
        if self._speaking():
            heard_with.ring.clear()  # it holds the panel's own voice
        heard_with.ring.append(frame)
        wake = heard_with.detector.process(frame)
        if self._session is None:
            if wake is not None and not self._says(wake):
                self.listen(frame.end, wake)
            elif self._answer_due is not None and (
                not self._speaking() or frame.end > self._answer_due
            ):
                self.listen(frame.end)
            return
        if self._recordings is not None:
            self._frames.append(frame.samples)
        clean = self._suppressor.process(frame.samples)
        utterance = self._session.feed(Frame(clean, frame.start), frame.samples)
        if utterance is not None:
            self._conclude(utterance)

    def listen(self, now: float, wake: WakeWord | None = None) -> None:
        """Begin a session; ``now`` in seconds of the source. Without a wake word, all counts.

        An answer to a question has its own time to begin.
        """
        heard_with = self._open_ears()
        settings = self._config.settings
        # A detector may have noticed it in an earlier frame.
        since = now - wake.at + settings.wake.pre_roll if wake is not None else 0.0
        self._answer_due = None
        self._suppressor = NoiseSuppressor(settings.asr.noise_suppression)
        before, _ = heard_with.ring.last(since + ears.NOISE_MEMORY)
        before = before[before.size % FRAME_SAMPLES :]
        first = before.size - min(before.size, round(since * SAMPLE_RATE))
        pre_roll = self._suppressor.process(before)[first:]
        asr = settings.asr
        complete = self._is_complete
        # Whoever plays a recording wants to know what is in it; after a wake word more will come.
        idle = self._is_answer if wake is not None else _never
        if self._decider.asking:
            idle = _never
            complete = functools.partial(complete, asked=True)
            asr = msgspec.structs.replace(asr, no_speech=settings.shopping.answer)
        self._session = Session(heard_with.recogniser, asr, wake, pre_roll, now, complete, idle)
        self._frames = [before[first:]]
        if wake is not None:
            self._bus.publish(
                Wake(
                    session=self._session.id,
                    wake_word=wake.name,
                    assistant=wake.assistant,
                    score=round(wake.score, 3),
                )
            )
        self._bus.publish(Listening(session=self._session.id, state="started"))

    def hang_up(self, now: float, reason: str = "stopped") -> None:
        """End the session that is open, or about to be; ``now`` in seconds of the source."""
        if self._answer_due is not None:
            self.listen(now)
        if self._session is not None:
            self._conclude(self._session.finish(now, reason))

    def forget(self) -> None:
        """Forget the sound so far, because what comes next does not follow on it.

        A question stays open: call :meth:`listen` for its answer.
        """
        if self._session is not None:
            self._bus.publish(Listening(session=self._session.id, state="ended", reason="stopped"))
        self._session = self._answer_due = None
        if self._ears is not None:
            self._ears.ring.clear()
            self._ears.detector.reset()
        self._lag = _Lag()

    @property
    def asking(self) -> bool:
        """Whether somebody was asked something, and has not answered yet."""
        return self._decider.asking

    def say(self, text: str, addressed: str = PANEL) -> Result:
        """Take a text as if it had been heard after the wake word of an assistant, or as the answer
        to a question. Waits until a request that comes of it is on the disk."""
        words = tuple(Word(word, 0.0, 0.0) for word in text.split())
        transcript = Transcript((Alternative(words, 1.0),) if words else ())
        session = uuid.uuid4().hex[:12]
        self._take(
            self._decider.decide(Heard(session=session, transcript=transcript, addressed=addressed))
        )
        while self._held:
            self.attend()
            time.sleep(0.005)
        return self.results()[-1]

    def results(self) -> list[Result]:
        """What came of utterances since the last call."""
        done, self._done = self._done, []
        return done

    def wait(self, timeout: float) -> bool:
        """Wait until everything that was asked is answered; return whether it is.

        Shopping that nobody is there for counts as answered: it is kept.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.attend()
            if self._delivery is None or (not self._held and not self._delivery.awaited):
                return True
            time.sleep(0.02)
        return False

    def _take(self, result: Result) -> None:
        """Pass a result on: at once, or when its request is on the disk."""
        if result.request is None:
            self._done.append(result)
        else:
            self._held[result.request] = _Held(result, time.monotonic())

    def _conclude(self, utterance: Utterance) -> None:
        lag = self._lag.now(utterance.ended)
        self._session = None
        self._bus.publish(
            Listening(session=utterance.session, state="ended", reason=utterance.reason)
        )
        if self._recordings is not None and not self._decider.secret:
            self._recordings.keep(utterance.session, np.concatenate(self._frames))
        wake = utterance.wake
        result = self._decider.decide(
            Heard(
                session=utterance.session,
                transcript=utterance.transcript,
                addressed=wake.assistant if wake else PANEL,
                wake_word=wake.name if wake else None,
                contrast=utterance.contrast,
            )
        )
        decide = lag + result.timings["decide"]
        endpoint = utterance.ended - utterance.speech_end
        timings = {
            **({"wake": wake.at} if wake else {}),
            "speech_end": utterance.speech_end,
            "endpoint": endpoint,
            "decide": decide,
            "action": endpoint + decide,
        }
        timings = {name: round(t, 3) for name, t in timings.items()}
        self._take(replace(result, timings=timings))
        if result.asks:
            self._await_answer(utterance.ended)

    def _await_answer(self, now: float) -> None:
        """Listen for the answer to a question, as soon as the question has been asked."""
        if self._speaking():
            self._answer_due = now + LONGEST_QUESTION
        else:
            self.listen(now)

    def _speaking(self) -> bool:
        return self.voice is not None and self.voice.speaking

    def _says(self, wake: WakeWord) -> bool:
        """Whether it was the panel itself that said a wake word, or the name that it is."""
        said = normalise(self.voice.words) if self.voice is not None else ""
        name = self._responses.word("assistant", wake.assistant)
        return any(normalise(each) in said for each in (name, wake.name)) if said else False

    def _open_ears(self) -> Ears:
        if self._ears is None:
            raise RuntimeError("open_ears() comes first")
        return self._ears

    # Everything else

    def attend(self) -> None:
        """Look after what came in: over MQTT, from the hardware, from timers. Never waits."""
        for message in self._client.poll() if self._client is not None else ():
            if isinstance(message, SetMessage):
                self._set(message)
            elif self._delivery is not None:
                self._delivery.take(message.reply)
        for news in self._responder.poll() if self._responder is not None else ():
            self._hear_of(news)
        for appliance in self.appliances.values():
            try:
                appliance.poll()
            except DriverError as error:
                log.warning("%s: %s", appliance.id, error)
        for done, speech in self._builtin.poll():
            self._builtin.said(speech)
            timer = done.timer
            self._bus.publish(TimerDone(name=timer.name, seconds=timer.seconds, speech=speech))

    def _set(self, message: SetMessage) -> None:
        """Do what somebody published on a set topic; if it cannot be, say what holds instead."""
        appliance = self.appliances.get(message.appliance)
        try:
            if appliance is None:
                known = ", ".join(self.appliances) or "none"
                raise RefusedError(f"no appliance {message.appliance} here, only: {known}", "set")
            appliance.set(message.property, message.value)
        except (ApplianceError, RefusedError) as error:
            code = error.code if isinstance(error, RefusedError) else "set"
            text = f"set/{message.appliance}/{message.property}: {error}"
            self._bus.publish(Error(code=code, message=text))
            if appliance is not None and message.property in appliance.properties:
                value = appliance.get(message.property)
                self._bus.publish(
                    StateChanged(appliance=appliance.id, property=message.property, value=value)
                )

    def _act(self, action: PropertyAction) -> None:
        """Set a property because a bridge wants it."""
        self._set(SetMessage(action.appliance, action.property, action.value))

    def _hear_of(self, news: News) -> None:
        """Take in what became of a request."""
        if (held := self._held.pop(news.key, None)) is not None:
            self._done.append(held.settle(news))
        # Nobody is interrupted. Who is speaking to the panel may ask the assistant again.
        if news.follow_up is not None and self._session is None and not self.asking:
            self._decider.follow_up(news.follow_up, news.speech)
            if self._ears is not None:
                self._await_answer(self._now)

    def run(
        self,
        source: Source,
        stop: threading.Event,
        on_result: Callable[[Result], None] = lambda _: None,
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Work until the source ends or somebody says stop.

        Args:
            source: open.
            stop: set from a signal handler or another thread.
            on_result: told what came of each utterance.
            on_beat: called several times a second, for a watchdog.

        Raises:
            AudioError: the source failed for good.
        """
        self._now = 0.0
        while not stop.is_set() and not source.ended:
            frame = source.read(_IDLE)
            self.attend()
            on_beat()
            if frame is not None:
                self.hear(frame)
            elif isinstance(source, MicrophoneSource) and source.muted:
                self.hang_up(self._now, "muted")
            for result in self.results():
                on_result(result)
        if self._session is not None and not self._decider.asking:
            self.hang_up(self._now)
        while self._held:
            self.attend()
            on_beat()
            time.sleep(0.005)
        for result in self.results():
            on_result(result)


def _never(_: Transcript) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class _Held:
    """A result whose request is on its way to the disk."""

    result: Result
    since: float

    def settle(self, news: News) -> Result:
        """The result when it is there, or cannot be."""
        waited = time.monotonic() - self.since
        late = {
            name: round(seconds + waited, 3) if name in ("decide", "action") else seconds
            for name, seconds in self.result.timings.items()
        }
        decision = "rejected" if news.refused else self.result.decision
        assistant = news.assistant
        return replace(
            self.result,
            decision=decision,
            assistant=assistant,
            speech=news.speech,
            timings=late,
        )


@dataclass(slots=True)
class _Lag:
    """How far the pipeline is behind the sound.

    The clock of the sound is set by the frame that came with the least delay so far.
    """

    _origin: float = field(default=float("inf"))

    def update(self, frame: Frame) -> None:
        self._origin = min(self._origin, time.monotonic() - frame.end)

    def now(self, moment: float) -> float:
        """Seconds since a moment of the sound."""
        return max(0.0, time.monotonic() - self._origin - moment)
