"""One session: from the wake word to the end of what is said after it."""

import uuid
from dataclasses import dataclass, field

from soripan.asr.recogniser import Recogniser, Transcript
from soripan.audio.frame import SAMPLE_RATE, Frame, Samples
from soripan.config import AsrSettings
from soripan.wake.detector import WakeWord

WAKE_LAG = 0.05
"""Seconds from the end of a wake word until the detector notices it, at most. Mostly it is sooner,
even before the end: `make bench` measures it."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said in a session."""

    session: str
    wake: WakeWord | None
    """None where no wake word is needed."""
    transcript: Transcript
    """Empty if nothing was said."""
    reason: str
    """Why listening ended: ``endpoint``, ``no_speech``, ``too_long`` or ``stopped``."""
    speech_end: float
    """When the last word ended, seconds of the source."""
    ended: float
    """When listening ended, seconds of the source."""


@dataclass(slots=True)
class Session:
    """Listens until the utterance is over; never for ever.

    Args:
        recogniser: started anew for this session.
        settings: its time limits.
        wake: the wake word that began it, if any.
        pre_roll: the sound just before ``begin``, so that a command spoken in one breath with the
            wake word is whole.
        begin: when the session begins, seconds of the source.
    """

    recogniser: Recogniser
    settings: AsrSettings
    wake: WakeWord | None
    pre_roll: Samples
    begin: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _heard_from: float = field(init=False)

    def __post_init__(self) -> None:
        self._heard_from = self.begin - len(self.pre_roll) / SAMPLE_RATE
        self.recogniser.start()
        if len(self.pre_roll):
            # The endpoint of what came before the command says nothing about the command.
            self.recogniser.accept(self.pre_roll)

    def feed(self, frame: Frame) -> Utterance | None:
        """Take the next frame; return the utterance when it is over."""
        transcript = self.recogniser.accept(frame.samples)
        if transcript is not None and (said := self._command(transcript)).alternatives:
            return self._end(said, "endpoint", frame.end)
        elapsed = frame.end - self.begin
        if elapsed >= self.settings.longest:
            return self.finish(frame.end, "too_long")
        if elapsed >= self.settings.no_speech and not self.recogniser.partial():
            return self._end(Transcript(()), "no_speech", frame.end)
        return None

    def finish(self, now: float, reason: str = "stopped") -> Utterance:
        """End the utterance now, with what was said so far."""
        said = self._command(self.recogniser.finish())
        return self._end(said, reason if said.alternatives else "no_speech", now)

    def _command(self, transcript: Transcript) -> Transcript:
        """What was said after the wake word."""
        if self.wake is None:
            return transcript
        return transcript.after(self.wake.at - WAKE_LAG - self._heard_from)

    def _end(self, said: Transcript, reason: str, now: float) -> Utterance:
        speech_end = now
        if said.alternatives and said.alternatives[0].words:
            speech_end = self._heard_from + said.alternatives[0].words[-1].end
        return Utterance(self.id, self.wake, said, reason, speech_end, now)
