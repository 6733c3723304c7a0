"""Lets a wake-word detector rest while there is nothing to hear."""

from collections import deque

import numpy as np

from soripan.audio.frame import FRAME_SECONDS, Frame
from soripan.wake.detector import WakeWord, WakeWordDetector

PRE_ROLL = 1.28
"""Seconds of the quiet before a sound that the detector gets when the gate opens."""

_QUIETEST = -75.0
"""dB: what is below counts as this, so that not every hiss rises from digital silence."""

_FULL_SCALE = 32_768.0


class EnergyGate(WakeWordDetector):
    """Runs another detector only while there is more sound than the noise of the room.

    The noise floor falls at once to the level of a quieter frame and rises slowly, so speech, which
    has pauses, leaves it alone, and a kitchen hood lifts it until the gate closes again.

    While the gate is closed the detector gets nothing. When it opens the detector gets the last
    frames of the quiet first, so the beginning of the word is not lost and, at the end of the word,
    the detector remembers next to nothing from before the gap. So it is not reset, which would cost
    as much as 26 frames and, measured, gains nothing.

    Args:
        detector: what to run.
        margin: dB over the noise floor that open the gate. Lower: quieter words are heard, in noise
            that comes and goes the gate opens more often.
        rise: dB per second that the floor rises while all sound is louder.
        pre_roll: seconds of the quiet that the detector gets when the gate opens. openWakeWord
            looks back 2 s, word and all; with half a second, scores at the threshold changed.
        hang: seconds that the gate stays open after the last sound.
        rest: seconds that the gate stays open after a hit. Not below the refractory time of the
            words, which the detector counts in the frames that it gets.
    """

    def __init__(
        self,
        detector: WakeWordDetector,
        *,
        margin: float = 4.0,
        rise: float = 1.0,
        pre_roll: float = PRE_ROLL,
        hang: float = 0.8,
        rest: float = 2.0,
    ) -> None:
        self._detector = detector
        self._margin = margin
        self._rise = rise * FRAME_SECONDS
        self._quiet: deque[Frame] = deque(maxlen=round(pre_roll / FRAME_SECONDS))
        self._hang = round(hang / FRAME_SECONDS)
        self._rest = round(rest / FRAME_SECONDS)
        self._start()

    def _start(self) -> None:
        self._quiet.clear()
        self._floor = np.inf
        # Open, because the first sound may be a word, and then there is no floor to rise from.
        self._left = self._hang

    def reset(self) -> None:
        """Forget the sound so far and the noise floor; the gate is open for ``hang`` seconds."""
        self._start()
        self._detector.reset()

    def process(self, frame: Frame) -> WakeWord | None:
        """Take the next frame; return the wake word if the detector heard one.

        Of the frames kept from the quiet, a hit has the time of the frame in which it was heard.
        """
        level = _level(frame)
        self._floor = min(level, self._floor + self._rise)
        if level > self._floor + self._margin:
            self._left = max(self._left, self._hang)
        elif self._left == 0:
            self._quiet.append(frame)
            return None
        else:
            self._left -= 1
        heard = None
        while self._quiet:
            heard = self._run(self._quiet.popleft()) or heard
        return self._run(frame) or heard

    def _run(self, frame: Frame) -> WakeWord | None:
        heard = self._detector.process(frame)
        if heard is not None:
            self._left = max(self._left, self._rest)
        return heard


def _level(frame: Frame) -> float:
    """Power of the frame where vowels are, in dB of full scale; hum and hiss count for little."""
    # Means of four samples leave what is below 2 kHz. The difference of neighbours is a high-pass
    # filter: 0 dB at 670 Hz, -16 dB at 100 Hz.
    steps = np.diff(frame.samples.reshape(-1, 4).mean(axis=1, dtype=np.float32))
    power = float(steps @ steps) / (steps.size * _FULL_SCALE**2)
    return max(_QUIETEST, 10.0 * float(np.log10(power + 1e-12)))
