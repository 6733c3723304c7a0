"""Earcons: short sounds that tell what the panel is doing.

They are quiet and at most a quarter of a second long, so that the wake-word detector, which hears
them too, does not mind.
"""

from typing import Final, Literal

import numpy as np

from soripan.audio.frame import Samples
from soripan.audio.loudspeaker import Loudspeaker, Sound
from soripan.events import (
    Action,
    Error,
    EventBus,
    Question,
    ReplyReady,
    RequestMade,
    TimerDone,
    Wake,
)

Earcon = Literal["wake", "done", "sorry", "timer"]

TONES: Final[dict[Earcon, tuple[tuple[float, float], ...]]] = {
    "wake": ((659.3, 0.09), (880.0, 0.12)),  # E5 A5, rising
    "done": ((880.0, 0.15),),
    "sorry": ((440.0, 0.11), (329.6, 0.13)),  # A4 E4, falling
    "timer": ((1046.5, 0.07), (0.0, 0.04), (1046.5, 0.13)),  # C6 twice
}
"""What each sound is made of, one tone after the other: frequency in Hz (0: silence), seconds."""

AMPLITUDE: Final = 0.1
"""Of full scale: -20 dBFS."""

RATE: Final = 48_000
"""Hz."""

TIMER_REPEATS: Final = 3

_ATTACK: Final = 0.01
"""Seconds in which a tone rises; it fades over the rest of its length, so nothing clicks."""


def synthesise(earcon: Earcon, rate: int) -> Samples:
    """Make a sound at ``rate`` Hz, shape ``(n,)``."""
    return np.concatenate([_tone(frequency, length, rate) for frequency, length in TONES[earcon]])


def _tone(frequency: float, seconds: float, rate: int) -> Samples:
    time = np.arange(round(seconds * rate)) / rate
    attack = np.minimum(time / _ATTACK, 1.0)
    decay = np.cos(np.pi / 2 * time / seconds)
    wave = AMPLITUDE * attack * decay * np.sin(2 * np.pi * frequency * time)
    return np.rint(wave * 32767.0).astype(np.int16)


class Earcons:
    """Plays a sound for what is published on the bus.

    Args:
        bus: what to listen to.
        loudspeaker: where to play them.
    """

    def __init__(self, bus: EventBus, loudspeaker: Loudspeaker) -> None:
        self._loudspeaker = loudspeaker
        bus.subscribe(Wake, lambda _: self.play("wake"))
        bus.subscribe(Action, lambda _: self.play("done"))
        bus.subscribe(RequestMade, lambda _: self.play("done"))
        bus.subscribe(ReplyReady, lambda e: self.play("done" if e.status == "ok" else "sorry"))
        bus.subscribe(Question, lambda _: self.play("wake"))
        bus.subscribe(Error, lambda _: self.play("sorry"))
        bus.subscribe(TimerDone, lambda _: self._ring())

    def play(self, earcon: Earcon) -> None:
        """Play a sound soon. Returns at once."""
        self._loudspeaker.play(Sound("earcons", lambda: (synthesise(earcon, RATE), RATE)))

    def _ring(self) -> None:
        for _ in range(TIMER_REPEATS):
            self.play("timer")
