"""The last seconds of sound, for what was said before the wake word was recognised."""

import numpy as np

from soripan.audio.frame import SAMPLE_RATE, Frame, Samples


class RingBuffer:
    """Keeps the last ``seconds`` of sound in a fixed piece of memory.

    What it holds is always one unbroken stretch: a frame that does not follow on the one before
    (sound was lost in between) makes it forget the older sound.
    """

    def __init__(self, seconds: float) -> None:
        self._samples = np.zeros(max(1, round(seconds * SAMPLE_RATE)), np.int16)
        self._next = 0  # where the next sample goes
        self._filled = 0
        self._end = 0.0  # seconds, as Frame.end

    def __len__(self) -> int:
        """How many samples it holds."""
        return self._filled

    def append(self, frame: Frame) -> None:
        """Add a frame, in place of the oldest sound."""
        # Frames count in whole samples, so half a sample is only rounding.
        if abs(frame.start - self._end) > 0.5 / SAMPLE_RATE:
            self.clear()
        size = self._samples.size
        samples = frame.samples[-size:]
        head = min(samples.size, size - self._next)
        self._samples[self._next : self._next + head] = samples[:head]
        self._samples[: samples.size - head] = samples[head:]
        self._next = (self._next + samples.size) % size
        self._filled = min(size, self._filled + samples.size)
        self._end = frame.end

    def last(self, seconds: float) -> tuple[Samples, float]:
        """Return a copy of the last ``seconds`` (or of all, if there is less) and its start time.

        The time is in the seconds of :attr:`Frame.start`.
        """
        count = min(self._filled, max(0, round(seconds * SAMPLE_RATE)))
        indices = np.arange(self._next - count, self._next) % self._samples.size
        return self._samples[indices], self._end - count / SAMPLE_RATE

    def clear(self) -> None:
        """Forget everything."""
        self._filled = 0
