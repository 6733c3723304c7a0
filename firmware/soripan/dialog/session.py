"""One session: from the wake word to the end of what is said after it."""

import uuid
from collections.abc import Callable
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
    """Why listening ended: ``complete``, ``endpoint``, ``no_speech``, ``too_long`` or
    ``stopped``."""
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
        settled: says whether a text is a command that means the same however it may go on.
    """

    recogniser: Recogniser
    settings: AsrSettings
    wake: WakeWord | None
    pre_roll: Samples
    begin: float
    settled: Callable[[str], bool]
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _heard_from: float = field(init=False)
    _partial: str = field(init=False, default="")
    _unchanged_since: float = field(init=False, default=0.0)
    _settled: bool | None = field(init=False, default=None)

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
        if self._is_complete(frame):
            if (said := self._command(self.recogniser.finish())).alternatives:
                return self._end(said, "complete", frame.end)
            # It was the end of the wake word.
            self.recogniser.start()
            self._heard_from = frame.end
        elapsed = frame.end - self.begin
        if elapsed >= self.settings.longest:
            return self.finish(frame.end, "too_long")
        if elapsed >= self.settings.no_speech and not self._partial:
            return self._end(Transcript(()), "no_speech", frame.end)
        return None

    def _is_complete(self, frame: Frame) -> bool:
        """Whether what was said so far is a command, and nothing was added for a while."""
        partial = self.recogniser.partial()
        if partial != self._partial:
            self._partial, self._unchanged_since, self._settled = partial, frame.end, None
        # Half a millisecond is rounding: the clock counts in frames.
        if frame.end - self._unchanged_since < self.settings.complete - 0.0005:
            return False
        if self._settled is None:
            self._settled = self.settled(partial)
        return self._settled

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
