"""From sound as it comes to frames: any rate, any number of channels, blocks of any length."""

import numpy as np
import soxr
from numpy.typing import NDArray

from soripan.audio.frame import FRAME_SAMPLES, SAMPLE_RATE, Frame

FloatSamples = NDArray[np.float32]
"""Sound in -1..1, shape ``(n, channels)``."""


class Framer:
    """Mixes down, resamples and cuts into frames. At 16 kHz mono, int16 sound passes unchanged.

    Args:
        rate: Sample rate of what comes in, Hz.
        start: :attr:`Frame.start` of the first frame, seconds.
    """

    def __init__(self, rate: int, start: float = 0.0) -> None:
        self._resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1)
        self._rest = np.empty(0, np.int16)
        self._position = round(start * SAMPLE_RATE)

    def push(self, block: FloatSamples) -> list[Frame]:
        """Take the next block, shape ``(n, channels)``, and return the frames that are full now.

        Channels are averaged, so the mix is never louder than the loudest of them; what is beyond
        full scale in the block, or becomes so in resampling, is clipped.
        """
        return self._push(block.mean(axis=1), last=False)

    def flush(self) -> list[Frame]:
        """Return what is left, the last frame filled up with silence."""
        frames = self._push(np.empty(0, np.float32), last=True)
        if self._rest.size:
            silence = np.zeros(FRAME_SAMPLES - self._rest.size, np.int16)
            frames += self._cut(silence)
        return frames

    def _push(self, mono: FloatSamples, *, last: bool) -> list[Frame]:
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        scaled = np.rint(mono * 32768.0)
        return self._cut(np.clip(scaled, -32768.0, 32767.0).astype(np.int16))

    def _cut(self, samples: NDArray[np.int16]) -> list[Frame]:
        whole = np.concatenate([self._rest, samples])
        count = whole.size // FRAME_SAMPLES
        self._rest = whole[count * FRAME_SAMPLES :]
        frames = []
        for one in whole[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES):
            frames.append(Frame(one, self._position / SAMPLE_RATE))
            self._position += FRAME_SAMPLES
        return frames
