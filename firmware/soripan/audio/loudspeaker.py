"""The loudspeaker: one sound after the other, in a thread of its own."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import soxr

from soripan.audio.frame import Samples
from soripan.audio.portaudio import find, portaudio, restarts
from soripan.exc import AudioError, SoripanError

log = logging.getLogger(__name__)

WAITING: Final = 8
"""How many sounds may wait to be played; more are dropped and logged."""

_LAST_SILENCE: Final = 0.1
"""Seconds of silence after a sound: closing the stream was measured to swallow the last 50 ms."""

_PAUSE: Final = 0.01
"""Seconds between looks at how much room there is; devices keep 0.03 s and more."""

_HANGS: Final = 5.0
"""Seconds late after which a sound device hangs."""


@dataclass(eq=False, slots=True)
class Sound:
    """Something to be heard."""

    kind: str
    """For the log: "earcons", "speech"."""
    make: Callable[[], tuple[Samples, int]]
    """Gives the sound, shape ``(n,)``, and its sample rate in Hz. Called in the loudspeaker's
    thread, so it may take its time."""
    done: Callable[["Sound"], None] = field(default=lambda _: None)
    """Called there too, once it was heard, failed or was dropped."""
    cancelled: bool = field(default=False, init=False)

    def cancel(self) -> None:
        """Break it off, or never begin it."""
        self.cancelled = True


class Loudspeaker:
    """Plays sounds in their order.

    Whatever goes wrong is logged, once for each kind of sound until it works again, and goes no
    further.

    Args:
        device: part of its name; empty: the default one.
    """

    def __init__(self, device: str = "") -> None:
        self._device = device
        self._queue: queue.Queue[Sound | None] = queue.Queue(WAITING)
        self._failing: set[str] = set()
        self._worker = threading.Thread(target=self._work, name="loudspeaker", daemon=True)

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

    def play(self, sound: Sound) -> None:
        """Play a sound soon. Returns at once."""
        try:
            self._queue.put_nowait(sound)
        except queue.Full:
            log.warning("%s are dropped: %d other sounds are waiting", sound.kind, WAITING)
            sound.done(sound)

    def _work(self) -> None:
        while (sound := self._queue.get()) is not None:
            try:
                if not sound.cancelled:
                    _play(sound, self._device)
            except Exception as error:  # the worker must outlive whatever a sound device does
                if sound.kind not in self._failing:
                    surprise = not isinstance(error, SoripanError)
                    log.warning("%s cannot be played: %s", sound.kind, error, exc_info=surprise)
                self._failing.add(sound.kind)
            else:
                self._failing.discard(sound.kind)
            finally:
                sound.done(sound)


def _play(sound: Sound, part: str) -> None:
    """Play a sound and wait until it has been heard.

    Raises:
        SoripanError: it cannot be made or played.
    """
    mono, rate = sound.make()
    with portaudio() as sounddevice:
        since = restarts()
        device = find(sounddevice, "output", part)
        silence = np.zeros(round(_LAST_SILENCE * device.rate), np.int16)
        mono = np.concatenate([soxr.resample(mono, rate, device.rate), silence])
        samples = np.repeat(mono[:, np.newaxis], min(2, device.channels), axis=1)
        stream = sounddevice.OutputStream(
            device=device.index,
            samplerate=device.rate,
            channels=samples.shape[1],
            dtype="int16",
        )
        stream.start()
    try:
        _write(stream, samples, sound, since)
    finally:
        with portaudio():
            if restarts() == since:
                stream.close()


def _write(stream: Any, samples: Samples, sound: Sound, since: int) -> None:
    """Hand over what there is room for, again and again.

    PortAudio is not kept meanwhile: the microphone takes it for dead after some seconds, and may
    have to restart it, which takes this stream away.
    """
    deadline = time.monotonic() + len(samples) / stream.samplerate + _HANGS
    while True:
        with portaudio():
            if restarts() != since:
                raise AudioError("PortAudio was restarted")
            if sound.cancelled:
                stream.abort()
                return
            if not len(samples):
                stream.stop()  # waits for the rest of the buffer
                return
            count = min(stream.write_available, len(samples))
            stream.write(samples[:count])
        samples = samples[count:]
        if time.monotonic() > deadline:
            raise AudioError("the sound device takes no sound")
        time.sleep(_PAUSE)
