"""Earcons: short sounds that tell what the panel is doing.

They are quiet and at most a quarter of a second long, so that the wake-word detector, which hears
them too, does not mind.
"""

import logging
import queue
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np

from soripan.audio.frame import Samples
from soripan.audio.portaudio import find, portaudio
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
from soripan.exc import AudioError

log = logging.getLogger(__name__)

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

WAITING: Final = 4
"""How many sounds may wait to be played; more are dropped and logged."""

TIMER_REPEATS: Final = 3

_ATTACK: Final = 0.01
"""Seconds in which a tone rises; it fades over the rest of its length, so nothing clicks."""

_LAST_SILENCE: Final = 0.1
"""Seconds of silence after a sound: closing the stream was measured to swallow the last 50 ms."""


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
    """Plays a sound for what is published on the bus, in a thread of its own.

    Whatever goes wrong with the loudspeaker is logged, once until it works again, and goes no
    further.

    Args:
        bus: What to listen to.
        device: Part of the loudspeaker's name; empty: the default one.
    """

    def __init__(self, bus: EventBus, device: str = "") -> None:
        self._device = device
        self._queue: queue.Queue[Earcon | None] = queue.Queue(WAITING)
        self._failing = False
        self._worker = threading.Thread(target=self._work, name="earcons", daemon=True)
        bus.subscribe(Wake, lambda _: self.play("wake"))
        bus.subscribe(Action, lambda _: self.play("done"))
        bus.subscribe(RequestMade, lambda _: self.play("done"))
        bus.subscribe(ReplyReady, lambda e: self.play("done" if e.status == "ok" else "sorry"))
        bus.subscribe(Question, lambda _: self.play("wake"))
        bus.subscribe(Error, lambda _: self.play("sorry"))
        bus.subscribe(TimerDone, lambda _: self._ring())

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Play what is waiting and stop; a loudspeaker that hangs is left alone."""
        with suppress(queue.Full):
            self._queue.put(None, timeout=1.0)
            self._worker.join(2.0)

    def play(self, earcon: Earcon) -> None:
        """Play a sound soon. Returns at once."""
        try:
            self._queue.put_nowait(earcon)
        except queue.Full:
            log.warning("the sound “%s” is dropped: %d others are waiting", earcon, WAITING)

    def _ring(self) -> None:
        for _ in range(TIMER_REPEATS):
            self.play("timer")

    def _work(self) -> None:
        while (earcon := self._queue.get()) is not None:
            try:
                _play(earcon, self._device)
            except Exception as error:  # the worker must outlive whatever a sound device does
                if not self._failing:
                    surprise = not isinstance(error, AudioError)
                    log.warning("earcons cannot be played: %s", error, exc_info=surprise)
                self._failing = True
            else:
                self._failing = False


def _play(earcon: Earcon, part: str) -> None:
    """Play a sound and wait until it has been heard.

    Raises:
        AudioError: it cannot be played.
    """
    # PortAudio is ours until the sound has been played: the microphone may restart it, and that
    # would pull the stream from under us.
    with portaudio() as sounddevice:
        device = find(sounddevice, "output", part)
        channels = min(2, device.channels)
        silence = np.zeros(round(_LAST_SILENCE * device.rate), np.int16)
        mono = np.concatenate([synthesise(earcon, device.rate), silence])
        sound = np.repeat(mono[:, np.newaxis], channels, axis=1)
        with sounddevice.OutputStream(
            device=device.index, samplerate=device.rate, channels=channels, dtype="int16"
        ) as stream:
            stream.write(sound)
