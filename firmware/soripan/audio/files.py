"""Frames from a recording: WAV, FLAC and whatever else libsndfile reads."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from soripan.audio.frame import FRAME_SECONDS, Frame
from soripan.audio.framer import Framer
from soripan.audio.source import Source
from soripan.exc import AudioFileError

LOWEST_RATE: Final = 4_000
HIGHEST_RATE: Final = 384_000
"""Hz. Outside of these a header is taken for damaged."""

_BLOCK: Final = 16_384
"""Samples read at a time, so that a long recording never lies in memory as a whole."""

_ENDLESS_WAV: Final = 0x7FFF_F000
"""Programs that write WAV to a pipe cannot know its length and promise at least so many bytes."""

_UNKNOWN_LENGTH: Final = 2**63 - 1
"""What libsndfile says of a FLAC stream whose header does not tell how long it is."""


class FileSource(Source):
    """Frames from a sound file of any rate and number of channels.

    Args:
        path: The file.
        realtime: Give each frame when a microphone would, instead of as fast as it is read. Times
            are counted from the opening, so they do not drift.
        lead_in: Seconds of silence before the sound.
        tail: Seconds of silence after it, so that the end of an utterance can be found.

    Raises:
        AudioFileError: on opening: missing, empty, truncated or no sound file; on reading: damaged
            in the middle. The message says which.
    """

    def __init__(
        self, path: Path, realtime: bool = False, lead_in: float = 0.0, tail: float = 2.0
    ) -> None:
        self.path = path
        self._realtime = realtime
        self._lead_in = lead_in
        self._tail = tail
        self._file: soundfile.SoundFile | None = None
        self._frames: Iterator[Frame] = iter(())
        self._ended = False
        self._opened = 0.0
        self._given = 0

    def open(self) -> None:
        """Open the file and check as much of it as can be checked without reading it all."""
        self._file = _open(self.path)
        self._frames = self._read_frames(self._file)
        self._ended = False
        self._opened = time.monotonic()
        self._given = 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._frames = iter(())

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame; without ``realtime`` at once."""
        if self._realtime and not self._ended:
            wait = self._opened + (self._given + 1) * FRAME_SECONDS - time.monotonic()
            if wait > timeout:
                time.sleep(timeout)
                return None
            time.sleep(max(0.0, wait))
        frame = next(self._frames, None)
        if frame is None:
            self._ended = True
        else:
            self._given += 1
        return frame

    @property
    def ended(self) -> bool:
        """Whether the recording and the silence after it have been read."""
        return self._ended

    def _read_frames(self, file: soundfile.SoundFile) -> Iterator[Frame]:
        framer = Framer(file.samplerate)
        yield from framer.push(np.zeros((round(self._lead_in * file.samplerate), 1), np.float32))
        done = 0
        while done < file.frames:
            try:
                block = file.read(_BLOCK, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise self._damaged(done / file.samplerate, _reason(error)) from None
            if not len(block):
                raise self._damaged(done / file.samplerate, "nothing can be read beyond that")
            if not np.isfinite(block).all():
                raise self._damaged(
                    done / file.samplerate, "it holds values that are no numbers (NaN or infinite)"
                )
            done += len(block)
            yield from framer.push(block)
        yield from framer.push(np.zeros((round(self._tail * file.samplerate), 1), np.float32))
        yield from framer.flush()

    def _damaged(self, seconds: float, reason: str) -> AudioFileError:
        return AudioFileError(f"{self.path}: is damaged after {seconds:.1f} s: {reason}")


def _open(path: Path) -> soundfile.SoundFile:
    """Open a sound file that can be used.

    Raises:
        AudioFileError: it cannot be used, with the reason.
    """
    length = _length(path)
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{path}: is not a sound file, or its header is damaged: {_reason(error)}"
        ) from None
    except TypeError:  # named .raw, and so without a header as far as soundfile is concerned
        raise AudioFileError(f"{path}: has no header (raw samples): convert it to WAV") from None
    try:
        _check_header(path, file)
        _check_complete(path, file, length)
    except BaseException:
        file.close()
        raise
    return file


def _length(path: Path) -> int:
    """Length of an ordinary, readable file, in bytes."""
    if path.is_dir():
        raise AudioFileError(f"{path}: is a folder, not a sound file")
    try:
        with path.open("rb") as file:
            length = file.seek(0, 2)
    except FileNotFoundError:
        raise AudioFileError(f"{path}: no such file") from None
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror}") from None
    if not length:
        raise AudioFileError(f"{path}: is empty (0 bytes)")
    return length


def _check_header(path: Path, file: soundfile.SoundFile) -> None:
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        raise AudioFileError(
            f"{path}: says its sample rate is {file.samplerate} Hz; "
            f"only {LOWEST_RATE} to {HIGHEST_RATE} Hz make sense"
        )
    if file.frames == 0:
        raise AudioFileError(f"{path}: holds no sound (0 samples)")
    if file.frames == _UNKNOWN_LENGTH:
        raise AudioFileError(
            f"{path}: its header does not say how long it is: write it anew, not through a pipe"
        )


def _check_complete(path: Path, file: soundfile.SoundFile, length: int) -> None:
    """Compare what the header promises with what is there."""
    if file.format in ("WAV", "WAVEX"):
        promised, begin = _wav_data(path)
        there = max(0, length - begin)
        if there < promised < _ENDLESS_WAV:
            raise AudioFileError(
                f"{path}: is truncated: the header promises {promised} bytes of sound, "
                f"but only {there} are there"
            )
    elif file.format == "FLAC":
        try:
            file.seek(file.frames - 1)
            complete = len(file.read(1)) == 1
            file.seek(0)
        except soundfile.LibsndfileError:
            complete = False
        if not complete:
            raise AudioFileError(
                f"{path}: is truncated: the header promises "
                f"{file.frames / file.samplerate:.1f} s of sound, but its end is missing"
            )


def _wav_data(path: Path) -> tuple[int, int]:
    """Size that a WAV file's header gives for its ``data`` chunk, and where the chunk begins.

    libsndfile quietly corrects the size to what is there, so it cannot be asked. The layout is
    Microsoft's RIFF: chunks of a four-letter name, a little-endian length and the content, padded
    to an even length. (0, 0) where there is no such chunk.
    """
    with path.open("rb") as file:
        order = ">" if file.read(4) == b"RIFX" else "<"
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack(order + "4sI", head)
            if name == b"data":
                return size, file.tell()
            file.seek(size + size % 2, 1)
    return 0, 0


def _reason(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).rstrip(".") or "libsndfile gives no reason"
