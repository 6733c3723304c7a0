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
from soripan.config import Config
from soripan.decide import Decider, Heard, Result
from soripan.dialog.builtin import Builtin
from soripan.dialog.responses import Responses
from soripan.dialog.router import PANEL
from soripan.dialog.session import Session, Utterance
from soripan.dialog.timers import Timers
from soripan.dialog.understand import is_complete
from soripan.ears import Ears
from soripan.events import Error, EventBus, Listening, StateChanged, TimerDone, Wake
from soripan.exc import ApplianceError, DriverError, RefusedError
from soripan.mqtt.client import Client, ReplyMessage, SetMessage
from soripan.mqtt.publisher import Publisher
from soripan.nlu import templates
from soripan.nlu.grammar import compile_grammar
from soripan.nlu.parser import Parser
from soripan.store import Store
from soripan.wake.detector import WakeWord

log = logging.getLogger(__name__)

_IDLE: Final = 0.2
"""Seconds that a silent source may keep the panel from everything else."""


class Panel:
    """Hears, decides and acts. One thread uses it.

    Args:
        config: all settings.
        bus: where it tells what it does.
        store: what survives a power failure; None: nothing does.
        client: the way to MQTT; None: the panel stays alone.

    Raises:
        TemplateError: a sentence template is wrong.
        DriverError: the hardware of an appliance is not there.
    """

    def __init__(
        self, config: Config, bus: EventBus, store: Store | None, client: Client | None
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
        self._is_complete = functools.partial(is_complete, parser=parser)
        self._decider = Decider(
            config,
            bus,
            parser,
            self._responses,
            self._builtin,
            self.appliances,
            client,
        )
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

    def hear(self, frame: Frame) -> Result | None:
        """Take the next frame; return what came of an utterance if one just ended."""
        heard_with = self._open_ears()
        self._lag.update(frame)
        heard_with.ring.append(frame)
        wake = heard_with.detector.process(frame)
        if self._session is None:
            if wake is not None:
                self.listen(frame.end, wake)
            return None
        if self._recordings is not None:
            self._frames.append(frame.samples)
        clean = self._suppressor.process(frame.samples)
        utterance = self._session.feed(Frame(clean, frame.start))
        return self._conclude(utterance) if utterance is not None else None

    def listen(self, now: float, wake: WakeWord | None = None) -> None:
        """Begin a session; ``now`` in seconds of the source. Without a wake word, all counts."""
        heard_with = self._open_ears()
        settings = self._config.settings
        # A detector may have noticed it in an earlier frame.
        since = now - wake.at + settings.wake.pre_roll if wake is not None else 0.0
        self._suppressor = NoiseSuppressor(settings.asr.noise_suppression)
        before, _ = heard_with.ring.last(since + ears.NOISE_MEMORY)
        before = before[before.size % FRAME_SAMPLES :]
        first = before.size - min(before.size, round(since * SAMPLE_RATE))
        pre_roll = self._suppressor.process(before)[first:]
        self._session = Session(
            heard_with.recogniser, settings.asr, wake, pre_roll, now, self._is_complete
        )
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

    def hang_up(self, now: float, reason: str = "stopped") -> Result | None:
        """End the session that is open, if one is; ``now`` in seconds of the source."""
        if self._session is None:
            return None
        return self._conclude(self._session.finish(now, reason))

    def forget(self) -> None:
        """Forget the sound so far, because what comes next does not follow on it."""
        if self._ears is not None:
            self._ears.ring.clear()
            self._ears.detector.reset()
        self._lag = _Lag()

    def say(self, text: str, addressed: str = PANEL) -> Result:
        """Take a text as if it had been heard after the wake word of an assistant."""
        words = tuple(Word(word, 0.0, 0.0) for word in text.split())
        transcript = Transcript((Alternative(words, 1.0),) if words else ())
        session = uuid.uuid4().hex[:12]
        return self._decider.decide(
            Heard(session=session, transcript=transcript, addressed=addressed)
        )

    def _conclude(self, utterance: Utterance) -> Result:
        lag = self._lag.now(utterance.ended)
        self._session = None
        self._bus.publish(
            Listening(session=utterance.session, state="ended", reason=utterance.reason)
        )
        if self._recordings is not None:
            self._recordings.keep(utterance.session, np.concatenate(self._frames))
        wake = utterance.wake
        result = self._decider.decide(
            Heard(
                session=utterance.session,
                transcript=utterance.transcript,
                addressed=wake.assistant if wake else PANEL,
                wake_word=wake.name if wake else None,
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
        return replace(result, timings={name: round(t, 3) for name, t in timings.items()})

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
            else:
                self._take_reply(message)
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

    def _take_reply(self, message: ReplyMessage) -> None:
        log.info("%s: %s %s", message.reply.id, message.reply.status, message.reply.speech or "")

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
        now = 0.0
        while not stop.is_set() and not source.ended:
            frame = source.read(_IDLE)
            self.attend()
            on_beat()
            result = None
            if frame is not None:
                now = frame.end
                result = self.hear(frame)
            elif isinstance(source, MicrophoneSource) and source.muted:
                result = self.hang_up(now, "muted")
            if result is not None:
                on_result(result)
        if (result := self.hang_up(now)) is not None:
            on_result(result)


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
