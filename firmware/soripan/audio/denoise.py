"""Takes the noise of the room out of speech, before the recogniser, which was taught in silence.

WebRTC's noise suppression, as in telephones: it learns what the noise is within a second or two,
from the pauses. It takes a little of the speech as well, so in a quiet room it does nothing.
"""

import math
from typing import Any, Final

import numpy as np

from soripan.audio.frame import FRAME_SAMPLES, SAMPLE_RATE, Samples, level

_BLOCK: Final = SAMPLE_RATE // 100
"""Samples that it takes at a time: 10 ms."""

_QUIET_ROOM: Final = 36.0
"""dB between the quietest and the loudest so far from which the room counts as quiet."""


class NoiseSuppressor:
    """For one stretch of sound.

    Args:
        level: how much is taken out, from 1 (a little) to 4 (all that can be); 0: nothing.
    """

    def __init__(self, level: int) -> None:
        # Imported here: `soripan say` hears nothing.
        from webrtc_noise_gain import AudioProcessor  # noqa: PLC0415

        self._processor = AudioProcessor(0, level) if level else None
        self._quietest, self._loudest = math.inf, -math.inf

    def process(self, samples: Samples) -> Samples:
        """Take the next samples, whole blocks of 10 ms, and return as many.

        Raises:
            ValueError: the last block is not whole.
        """
        if samples.size % _BLOCK:
            raise ValueError(f"{samples.size} samples are not whole blocks of {_BLOCK}")
        if self._processor is None or not samples.size:
            return samples
        clean = _suppress(self._processor, samples)
        for frame in np.split(samples, range(FRAME_SAMPLES, samples.size, FRAME_SAMPLES)):
            loudness = level(frame)
            self._quietest = min(self._quietest, loudness)
            self._loudest = max(self._loudest, loudness)
        return samples if self._loudest - self._quietest > _QUIET_ROOM else clean


def _suppress(processor: Any, samples: Samples) -> Samples:
    blocks = (processor.Process10ms(block.tobytes()).audio for block in samples.reshape(-1, _BLOCK))
    return np.frombuffer(b"".join(blocks), np.int16)
