"""The unit of sound that stages hand each other."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE: Final = 16_000
"""Hz. What openWakeWord and the Vosk models want."""

FRAME_SAMPLES: Final = 1_280
"""Samples in a frame: 80 ms, the openWakeWord step."""

FRAME_SECONDS: Final = FRAME_SAMPLES / SAMPLE_RATE

Samples = NDArray[np.int16]
"""Mono sound at :data:`SAMPLE_RATE`, shape ``(n,)``."""


@dataclass(frozen=True, slots=True)
class Frame:
    """80 ms of sound."""

    samples: Samples
    """Shape ``(1280,)``."""

    start: float
    """Seconds of sound since the source was opened; a gap in it means sound was lost."""

    @property
    def end(self) -> float:
        """Seconds of sound since the source was opened, at the end of the frame."""
        return self.start + FRAME_SECONDS


def level(samples: Samples) -> float:
    """Power of a sound in dB over a power of 1; digital silence has 0."""
    return 10.0 * math.log10(float(np.mean(samples.astype(np.float32) ** 2)) + 1.0)
