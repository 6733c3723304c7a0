"""What a wake-word detector is, and when a score counts as heard."""

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

from soripan.audio.frame import FRAME_SECONDS, Frame


@dataclass(frozen=True, slots=True)
class WakeWord:
    """A wake word that was heard."""

    name: str
    assistant: str
    """Whom it addresses; ``panel`` is the panel itself."""
    score: float
    at: float
    """When it was noticed: ``end`` of the frame, seconds of the source. The word was over a little
    earlier."""


class WakeWordDetector(ABC):
    """Listens for wake words, frame by frame."""

    @abstractmethod
    def process(self, frame: Frame) -> WakeWord | None:
        """Take the next frame; return the wake word if one was heard in it."""

    @abstractmethod
    def reset(self) -> None:
        """Forget the sound so far, because what comes next does not follow on it."""


class Trigger:
    """Turns the scores of one word into hits: smoothing, threshold, refractory time.

    openWakeWord's own ``patience`` cannot fire in 0.6.0 and excludes ``debounce_time``, so this is
    done here, for any detector that gives a score per frame.
    """

    def __init__(self, threshold: float, smoothing: int, refractory: float) -> None:
        self._threshold = threshold
        self._scores: deque[float] = deque([0.0] * smoothing, maxlen=smoothing)
        self._refractory = round(refractory / FRAME_SECONDS)
        self._rest = 0

    def reset(self) -> None:
        """Forget the scores so far."""
        self._scores.extend([0.0] * len(self._scores))
        self._rest = 0

    def update(self, score: float) -> float | None:
        """Take the score of the next frame; return the mean score if it is a hit."""
        self._scores.append(score)
        if self._rest > 0:
            self._rest -= 1
            return None
        mean = sum(self._scores) / len(self._scores)
        if mean < self._threshold:
            return None
        self._rest = self._refractory
        return mean
