"""One session: from the wake word to the end of what is said after it."""

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from soripan.asr.recogniser import Recogniser, Transcript
from soripan.audio.frame import FRAME_SECONDS, SAMPLE_RATE, Frame, Samples, level
from soripan.config import AsrSettings
from soripan.wake.detector import WakeWord

WAKE_LAG = 0.05
"""Seconds from the end of a wake word until the detector notices it, at most. Mostly it is sooner,
even before the end: `make bench` measures it."""

_SPEECH_RANGE = 20.0
"""dB below the loudest of an utterance where speech ends and silence begins."""


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
    contrast: float = 0.0
    """How much louder the words are than the quietest fifth of what was heard, dB."""


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
        idle: says whether what was heard means nothing here, such as a yes where nothing was asked:
            the end of a wake word, or a breath, sounds like one, and the command is yet to come.
    """

    recogniser: Recogniser
    settings: AsrSettings
    wake: WakeWord | None
    pre_roll: Samples
    begin: float
    settled: Callable[[str], bool]
    idle: Callable[[Transcript], bool] = lambda _: False
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _heard_from: float = field(init=False)
    _partial: str = field(init=False, default="")
    _loudest: float = field(init=False, default=-math.inf)
    _levels: list[tuple[float, float]] = field(init=False, default_factory=list)
    """Of each frame: when it ended, and its level in dB."""
    _silent_since: float = field(init=False)
    _settled: bool | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._silent_since = self.begin
        self._heard_from = self.begin - len(self.pre_roll) / SAMPLE_RATE
        self.recogniser.start()
        if len(self.pre_roll):
            # The endpoint of what came before the command says nothing about the command.
            self.recogniser.accept(self.pre_roll)

    def feed(self, frame: Frame, raw: Samples | None = None) -> Utterance | None:
        """Take the next frame; return the utterance when it is over.

        Args:
            frame: as the recogniser shall have it.
            raw: the same sound as the microphone heard it, if that is something else.
        """
        self._levels.append((frame.end, level(frame.samples if raw is None else raw)))
        transcript = self.recogniser.accept(frame.samples)
        if transcript is not None and self._says_something(said := self._command(transcript)):
            return self._end(said, "endpoint", frame.end)
        if (reason := self._is_over(frame)) is not None:
            if self._says_something(said := self._command(self.recogniser.finish())):
                return self._end(said, reason, frame.end)
            # It was the end of the wake word, or a breath.
            self.recogniser.start()
            self._heard_from = frame.end
        elapsed = frame.end - self.begin
        if elapsed >= self.settings.longest:
            return self.finish(frame.end, "too_long")
        if elapsed >= self.settings.no_speech and not self._partial:
            return self._end(Transcript(()), "no_speech", frame.end)
        return None

    def _is_over(self, frame: Frame) -> str | None:
        """Why the utterance is over, if it is: the speaker is silent, after a whole command for a
        short while, after anything else for a longer one.

        The recogniser writes a word down up to a third of a second after it was said. So it is the
        sound that tells of silence, and the silence must last until all words are written. Where
        noise hides it, the recogniser's own endpoint comes later.
        """
        loudness = level(frame.samples)
        self._loudest = max(self._loudest, loudness)
        if loudness > self._loudest - _SPEECH_RANGE:
            self._silent_since = frame.end
        partial = self.recogniser.partial()
        if partial != self._partial:
            self._partial, self._settled = partial, None
        # Half a millisecond is rounding: the clock counts in frames.
        silent = frame.end - self._silent_since + 0.0005
        if not partial or silent < self.settings.complete:
            return None
        if silent >= self.settings.pause:
            return "endpoint"
        if self._settled is None:
            self._settled = self.settled(partial)
        return "complete" if self._settled else None

    def finish(self, now: float, reason: str = "stopped") -> Utterance:
        """End the utterance now, with what was said so far."""
        said = self._command(self.recogniser.finish())
        return self._end(said, reason if said.alternatives else "no_speech", now)

    def _says_something(self, said: Transcript) -> bool:
        return bool(said.alternatives) and not self.idle(said)

    def _command(self, transcript: Transcript) -> Transcript:
        """What was said after the wake word."""
        if self.wake is None:
            return transcript
        return transcript.after(self.wake.at - WAKE_LAG - self._heard_from)

    def _end(self, said: Transcript, reason: str, now: float) -> Utterance:
        speech_end = now
        if said.alternatives and said.alternatives[0].words:
            speech_end = self._heard_from + said.alternatives[0].words[-1].end
        contrast = self._contrast(said)
        return Utterance(self.id, self.wake, said, reason, speech_end, now, contrast)

    def _contrast(self, said: Transcript) -> float:
        if not said.alternatives or not said.alternatives[0].words or not self._levels:
            return 0.0
        words = said.alternatives[0].words
        begin = self._heard_from + words[0].start - FRAME_SECONDS
        end = self._heard_from + words[-1].end + 2 * FRAME_SECONDS
        loudest = max((each for at, each in self._levels if begin <= at <= end), default=0.0)
        levels = sorted(each for _, each in self._levels)
        return max(0.0, loudest - levels[len(levels) // 5])
