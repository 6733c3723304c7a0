"""Takes the noise of the room out of speech, before the recogniser, which was taught in silence.

WebRTC's noise suppression, as in telephones: it learns what the noise is within a second or two,
from the pauses.
"""

from typing import Final

import numpy as np

from soripan.audio.frame import SAMPLE_RATE, Samples

_BLOCK: Final = SAMPLE_RATE // 100
"""Samples that it takes at a time: 10 ms."""


class NoiseSuppressor:
    """For one stretch of sound.

    Args:
        level: how much is taken out, from 1 (a little) to 4 (all that can be); 0: nothing.
    """

    def __init__(self, level: int) -> None:
        # Imported here: `soripan say` hears nothing.
        from webrtc_noise_gain import AudioProcessor  # noqa: PLC0415

        self._processor = AudioProcessor(0, level) if level else None

    def process(self, samples: Samples) -> Samples:
        """Take the next samples, whole blocks of 10 ms, and return as many.

        Raises:
            ValueError: the last block is not whole.
        """
        if samples.size % _BLOCK:
            raise ValueError(f"{samples.size} samples are not whole blocks of {_BLOCK}")
        if self._processor is None:
            return samples
        blocks = (
            self._processor.Process10ms(block.tobytes()).audio
            for block in samples.reshape(-1, _BLOCK)
        )
        return np.frombuffer(b"".join(blocks), np.int16)
