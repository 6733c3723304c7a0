"""Frames from a microphone, through PortAudio, for months on end.

A thread of its own does everything with PortAudio that may take long or never return: it opens the
stream, watches it and, when it has died, opens it again. PortAudio's callback only enqueues. The
reading thread cuts frames, logs, and publishes what happened.

PortAudio does not always tell when a microphone is gone. It calls ``finished_callback`` when the
sound server dies or the device is pulled; when a device is suspended, it simply stops calling back.
After either, only closing everything and starting PortAudio anew finds the device again. The clean
up can hang for good; then :meth:`MicrophoneSource.read` raises, so that the process ends and the
service manager starts it afresh.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from soripan.audio.frame import FRAME_SECONDS, SAMPLE_RATE, Frame
from soripan.audio.framer import Framer
from soripan.audio.portaudio import Device, abandon, devices, find, portaudio, restart
from soripan.audio.source import Source
from soripan.events import Error, EventBus
from soripan.exc import AudioError, MicrophoneError

log = logging.getLogger(__name__)

SILENT: Final = 1.0
"""Seconds without a block after which a stream is dead."""

SILENT_AT_FIRST: Final = 3.0
"""The same before the first block: devices take a while to start."""

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0
"""Seconds between attempts to open a microphone that is gone; each is twice the one before."""

OPENING: Final = 15.0
CLOSING: Final = 5.0
"""Seconds after which opening and closing are taken to hang for good. Opening may have to load
PortAudio from a slow SD card."""

LOSS_LOG_INTERVAL: Final = 10.0
"""Seconds between two log lines about lost sound."""


def list_devices() -> list[Device]:
    """The microphones there are.

    Raises:
        MicrophoneError: PortAudio is missing or broken.
    """
    with _as_microphone_error(), portaudio() as sounddevice:
        return devices(sounddevice, "input")


class MicrophoneSource(Source):
    """Frames from a microphone. :attr:`Frame.start` goes on while it is muted, dead or overrun.

    Args:
        device: Part of its name, upper case or lower; empty: the default one.
        queue_seconds: How much sound may wait to be read. If there is more, the oldest is
            dropped, and that is logged.
        bus: Where to publish an ``Error`` with code ``microphone`` when it dies.

    Raises:
        MicrophoneError: on opening: there is no such microphone, or PortAudio is missing; on
            reading: PortAudio hangs, and only a new process helps. A microphone that goes away
            later is no error: it is looked for until it is back.
    """

    def __init__(self, device: str, queue_seconds: float, bus: EventBus | None = None) -> None:
        self._device = device
        self._bus = bus
        lock = threading.Lock()
        self._arrived = threading.Condition(lock)
        """A block arrived. Like ``_control`` it guards all that follows."""
        self._control = threading.Condition(lock)
        """The supervisor has something to do, or has done something."""
        self._queue: deque[_Block] = deque(maxlen=math.ceil(queue_seconds / FRAME_SECONDS))
        self._dropped = 0
        """Blocks dropped from the queue and not yet logged."""
        self._overruns = 0
        """Times that PortAudio itself lost sound, not yet logged."""
        self._muted = False
        self._closing = False
        self._end = (0.0, -math.inf)
        """End of the last block: in the seconds of Frame.start, and on the monotonic clock."""
        self._due: float | None = None
        """Until when the supervisor's present call into PortAudio must return."""
        self._settled = threading.Event()
        """The first attempt to open has succeeded or failed."""
        self._failure: AudioError | None = None
        """Why the supervisor gave up."""
        self._notices: deque[tuple[bool, str]] = deque(maxlen=16)
        """Changes to be told by the reading thread: whether it works now, and what happened."""
        self._failing = False
        """Whether it is gone, as far as the supervisor knows."""
        self._supervisor: threading.Thread | None = None

        # For the reading thread alone.
        self._cutter = _Cutter()
        self._frames: deque[Frame] = deque()
        self._losses_logged = -math.inf

    def open(self) -> None:
        """Start to record, unless it is muted."""
        self._queue.clear()
        self._frames.clear()
        self._end = (0.0, -math.inf)
        self._closing = False
        self._failing = False
        self._failure = None
        self._settled.clear()
        self._supervisor = threading.Thread(target=self._supervise, name="microphone", daemon=True)
        self._supervisor.start()
        try:
            while not self._settled.wait(0.1):
                self._check()
            self._check()
        except MicrophoneError:
            self.close()
            raise

    def close(self) -> None:
        """Stop to record."""
        with self._control:
            self._closing = True
            self._control.notify_all()
        if self._supervisor is not None:
            now = time.monotonic()
            self._supervisor.join(max(0.0, (self._due or now + CLOSING) - now))
            if self._supervisor.is_alive():
                log.error("PortAudio hangs; the microphone stays open until the process ends")
                abandon()
        self._supervisor = None

    def mute(self) -> None:
        """Stop to record: from now on nothing is kept, and the stream is closed in a moment."""
        with self._control:
            self._muted = True
            self._queue.clear()
            self._control.notify_all()

    def unmute(self) -> None:
        """Record again."""
        with self._control:
            self._muted = False
            self._control.notify_all()

    @property
    def muted(self) -> bool:
        """Whether it is muted."""
        return self._muted

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame; None if the microphone is muted, dead or slow."""
        self._tell()
        self._check()
        if self._muted:
            self._frames.clear()
        deadline = time.monotonic() + timeout
        while not self._frames:
            block = self._next_block(deadline)
            if block is None:
                return None
            self._frames.extend(self._cutter.cut(block))
        return self._frames.popleft()

    def _next_block(self, deadline: float) -> "_Block | None":
        with self._arrived:
            while not self._queue:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._arrived.wait(left)
            return self._queue.popleft()

    def _tell(self) -> None:
        """Log and publish, in the reading thread, what the other threads saw."""
        while self._notices:
            works, message = self._notices.popleft()
            if works:
                log.info("%s", message)
                continue
            log.warning("%s", message)
            if self._bus is not None:
                self._bus.publish(Error(code="microphone", message=message))
        self._tell_losses()

    def _tell_losses(self) -> None:
        now = time.monotonic()
        if now - self._losses_logged < LOSS_LOG_INTERVAL:
            return
        with self._arrived:
            dropped, self._dropped = self._dropped, 0
            overruns, self._overruns = self._overruns, 0
        if dropped:
            log.warning(
                "dropped %.2f s of sound: the pipeline is too slow", dropped * FRAME_SECONDS
            )
        if overruns:
            log.warning("PortAudio lost sound (%d times): the CPU is too busy", overruns)
        if dropped or overruns:
            self._losses_logged = now

    def _check(self) -> None:
        """Raise if there will be no more frames."""
        if self._failure is not None:
            raise MicrophoneError(str(self._failure)) from self._failure
        due = self._due
        if due is not None and time.monotonic() > due:
            raise MicrophoneError("PortAudio does not answer any more: only a new process helps")

    # From here on: the supervisor's thread.

    def _supervise(self) -> None:
        try:
            self._keep_open()
        except AudioError as error:
            self._failure = error
        except Exception as error:
            log.exception("the microphone's supervisor failed")
            self._failure = AudioError(f"internal error: {error}")
        self._settled.set()

    def _keep_open(self) -> None:
        """Keep a stream open, except while muted.

        Raises:
            AudioError: the first attempt failed. Later ones are made again and again.
        """
        pause = FIRST_PAUSE
        while self._wait_until_wanted():
            stream = _Stream()
            try:
                with self._calling(OPENING) as sounddevice:
                    if self._failing:
                        restart(sounddevice)
                    stream.open(sounddevice, self._device, self._on_block, self._on_finished)
            except AudioError as error:
                if not self._settled.is_set():
                    raise
                self._set_failing(f"the microphone is gone: {error}")
            else:
                self._settled.set()
                self._watch(stream)
                with self._calling(CLOSING):
                    stream.close()
            if self._failing:
                pause = FIRST_PAUSE if stream.blocks else min(2 * pause, LONGEST_PAUSE)
                self._wait_for_change(pause)

    def _watch(self, stream: "_Stream") -> None:
        """Wait until a stream is dead or not wanted any more."""
        opened = time.monotonic()
        with self._control:
            while not (self._muted or self._closing):
                limit = SILENT if stream.blocks else SILENT_AT_FIRST
                left = max(opened, stream.last_block) + limit - time.monotonic()
                if stream.blocks and self._failing:
                    self._failing = False
                    self._notices.append((True, f"the microphone is back: {stream.name}"))
                if stream.finished:
                    self._set_failing("the microphone or the sound server is gone")
                    break
                if left <= 0:
                    self._set_failing(f"no sound from the microphone for {limit:.0f} s")
                    break
                self._control.wait(left)

    def _set_failing(self, problem: str) -> None:
        if not self._failing:
            self._notices.append((False, problem))
        self._failing = True

    def _wait_until_wanted(self) -> bool:
        """Wait while muted; return False when it is to close."""
        with self._control:
            while self._muted and not self._closing:
                self._settled.set()
                self._control.wait()
            return not self._closing

    def _wait_for_change(self, seconds: float) -> None:
        with self._control:
            muted = self._muted
            self._control.wait_for(lambda: self._closing or self._muted != muted, seconds)

    @contextmanager
    def _calling(self, seconds: float) -> Iterator[Any]:
        """Call into PortAudio, with the reading thread looking at the clock."""
        self._due = time.monotonic() + seconds
        try:
            with portaudio() as sounddevice:
                yield sounddevice
        finally:
            self._due = None

    # From here on: PortAudio's thread. It must not wait for anything.

    def _on_block(self, stream: "_Stream", samples: NDArray[np.int16], overrun: bool) -> None:
        now = time.monotonic()
        with self._arrived:
            if not stream.blocks:
                end, at = self._end
                away = now - len(samples) / stream.rate - at if math.isfinite(at) else 0.0
                stream.start = end + max(0.0, away)
                self._control.notify_all()
            if not (self._muted or self._closing):
                self._dropped += len(self._queue) == self._queue.maxlen
                self._overruns += overrun
                self._queue.append(_Block(stream, stream.samples, samples))
                self._arrived.notify()
            stream.blocks += 1
            stream.samples += len(samples)
            stream.last_block = now
            self._end = stream.start + stream.samples / stream.rate, now

    def _on_finished(self, stream: "_Stream") -> None:
        with self._control:
            stream.finished = True
            self._control.notify_all()


_OnBlock = Callable[["_Stream", NDArray[np.int16], bool], None]
_OnFinished = Callable[["_Stream"], None]


class _Stream:
    """A PortAudio stream and what is known of it."""

    def __init__(self) -> None:
        self.name = ""
        self.rate = SAMPLE_RATE
        self.start = 0.0
        """When it began, in the seconds of :attr:`Frame.start`."""
        self.blocks = 0
        self.samples = 0
        """Samples that have come, at :attr:`rate`."""
        self.last_block = -math.inf
        """When the last block came, on the monotonic clock."""
        self.finished = False
        self._stream: Any = None

    def open(
        self, sounddevice: Any, part: str, on_block: _OnBlock, on_finished: _OnFinished
    ) -> None:
        """Open and start; at 16 kHz mono if the device can, else as it likes it.

        Raises:
            AudioError: there is no such device, or it cannot be opened.
        """
        device = find(sounddevice, "input", part)
        self.name = device.name

        def callback(samples: Any, _count: int, _time: Any, status: Any) -> None:
            on_block(self, samples.copy(), bool(status.input_overflow))

        formats = list(dict.fromkeys(_formats(device)))
        for rate, channels in formats:
            self.rate = rate
            try:
                self._stream = sounddevice.InputStream(
                    device=device.index,
                    samplerate=rate,
                    channels=channels,
                    dtype="int16",
                    blocksize=round(rate * FRAME_SECONDS),
                    callback=callback,
                    finished_callback=lambda: on_finished(self),
                )
                self._stream.start()
            except sounddevice.PortAudioError as error:
                self.close()
                problem = str(error.args[0])
            else:
                log.info("recording from %s, %d Hz, channels: %d", device.name, rate, channels)
                return
        raise AudioError(f"“{device.name}” cannot be opened: {problem}")

    def close(self) -> None:
        """Stop at once and close."""
        if self._stream is not None:
            self._stream.abort()
            self._stream.close()
        self._stream = None


@dataclass(frozen=True, slots=True)
class _Block:
    """What the callback got."""

    stream: _Stream
    position: int
    """How many samples of the stream came before."""
    samples: NDArray[np.int16]
    """Shape ``(n, channels)``."""


class _Cutter:
    """Cuts blocks into frames and begins anew where one does not follow on the one before."""

    def __init__(self) -> None:
        self._stream: _Stream | None = None
        self._expected = 0
        self._framer = Framer(SAMPLE_RATE)

    def cut(self, block: _Block) -> list[Frame]:
        """Return the frames that are full now."""
        stream = block.stream
        if stream is not self._stream or block.position != self._expected:
            self._stream = stream
            self._framer = Framer(stream.rate, stream.start + block.position / stream.rate)
        self._expected = block.position + len(block.samples)
        # Two channels are stereo, or one microphone on either of them: mix. More are an array of
        # microphones, where a mix sounds hollow and may hold a loopback channel: take the first.
        channels = slice(None) if block.samples.shape[1] <= 2 else slice(1)
        return self._framer.push(block.samples[:, channels].astype(np.float32) / 32768.0)


def _formats(device: Device) -> Iterator[tuple[int, int]]:
    """Sample rates and channel counts to try, best first."""
    yield SAMPLE_RATE, 1
    yield device.rate, 1
    yield device.rate, min(2, device.channels)
    yield device.rate, device.channels


@contextmanager
def _as_microphone_error() -> Iterator[None]:
    try:
        yield
    except AudioError as error:
        raise MicrophoneError(str(error)) from error
