"""PortAudio, shared by the microphone and the loudspeaker.

It is loaded when it is first needed, because recordings must work without it, and used by one
thread at a time, because it is not thread-safe and a restart of it takes everybody's streams away.
"""

import atexit
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from soripan.exc import AudioError

_lock = threading.Lock()
_restarts = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A sound device in one direction."""

    index: int
    name: str
    channels: int
    """The most it has in this direction."""
    rate: int
    """Its own sample rate, Hz."""
    default: bool
    """Whether it is taken when none is named."""


@contextmanager
def portaudio() -> Iterator[Any]:
    """Give the ``sounddevice`` module to one thread at a time.

    Raises:
        AudioError: PortAudio is not installed, does not start, or refuses something.
    """
    with _lock:
        sounddevice = _load()
        try:
            yield sounddevice
        except sounddevice.PortAudioError as error:
            raise AudioError(str(error.args[0])) from error


def _load() -> Any:
    try:
        import sounddevice  # noqa: PLC0415
    except OSError as error:
        raise AudioError(
            f"PortAudio is not installed: sudo apt-get install libportaudio2 ({error})"
        ) from error
    except Exception as error:  # sounddevice.PortAudioError, which is out of reach here
        raise AudioError(f"PortAudio does not start: {error}") from error
    return sounddevice


def restart(sounddevice: Any) -> None:
    """Let PortAudio look anew for devices. Streams that are open are gone then; their owners see it
    by :func:`restarts`."""
    global _restarts  # noqa: PLW0603 (PortAudio itself is global to the process)
    _restarts += 1
    while sounddevice._initialized:
        sounddevice._terminate()
    sounddevice._initialize()


def restarts() -> int:
    """How often PortAudio was restarted. A stream from before the last time must not be touched."""
    return _restarts


def abandon() -> None:
    """Let the process exit without PortAudio's clean-up: after a call hung, that would hang too."""
    if (sounddevice := sys.modules.get("sounddevice")) is not None:
        atexit.unregister(sounddevice._exit_handler)


def devices(sounddevice: Any, kind: Literal["input", "output"]) -> list[Device]:
    """All devices that can record (or play)."""
    default = sounddevice.default.device[kind]
    return [
        Device(
            index=info["index"],
            name=info["name"],
            channels=info[f"max_{kind}_channels"],
            rate=round(info["default_samplerate"]),
            default=info["index"] == default,
        )
        for info in sounddevice.query_devices()
        if info[f"max_{kind}_channels"] > 0
    ]


def find(sounddevice: Any, kind: Literal["input", "output"], part: str) -> Device:
    """The device that is called so, or else the first with ``part`` in its name, upper case or
    lower; with an empty ``part`` the default one.

    Raises:
        AudioError: there is none; the message lists what there is.
    """
    there = devices(sounddevice, kind)
    wanted = part.casefold()
    for fits in (
        (lambda d: d.name.casefold() == wanted) if part else (lambda d: d.default),
        (lambda d: wanted in d.name.casefold()),
    ):
        if found := next(filter(fits, there), None):
            return found
    names = ", ".join(f"“{device.name}”" for device in there) or "none"
    what = f"{kind} device named like “{part}”" if part else f"{kind} device"
    raise AudioError(f"no {what}; there is: {names}")
