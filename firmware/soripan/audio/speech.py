"""From a sentence to sound, by a program of its own.

The program reads the sentence, UTF-8, from its standard input and writes a WAV file to its standard
output: espeak-ng does, and so can a few lines around any other synthesiser. It runs once for each
sentence, so nothing of it stays in the panel's memory, and its licence stays its own.
"""

import io
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

import soundfile

from soripan.audio.frame import Samples
from soripan.exc import SpeechError, ToolMissingError

MOST: Final = 20_000_000
"""Bytes of sound for one sentence, at most: three minutes at 48 kHz."""


@dataclass(frozen=True, slots=True)
class Synthesiser:
    """Speaks with another program."""

    command: Sequence[str]
    """The program and its arguments; no shell is involved."""
    timeout: float
    """Seconds it may take for a sentence."""

    def check(self) -> None:
        """Look for the program.

        Raises:
            ToolMissingError: it is not there.
        """
        program = self.command[0]
        if shutil.which(program) is None:
            remedy = f"sudo apt-get install {program}" if "/" not in program else "correct [speech]"
            raise ToolMissingError(f'{program} is not installed: {remedy}, or set engine = "off"')

    def speak(self, text: str) -> tuple[Samples, int]:
        """The sound of a sentence, shape ``(n,)``, and its sample rate in Hz. Takes a while.

        Raises:
            ToolMissingError: the program is not there.
            SpeechError: it fails, takes too long, or gives no sound.
        """
        self.check()
        wav = self._run(text.encode())
        try:
            sound, rate = soundfile.read(io.BytesIO(wav), dtype="int16", always_2d=True)
        except (soundfile.LibsndfileError, TypeError) as error:
            raise SpeechError(f"{self.command[0]} gives no WAV file: {error}") from None
        if not len(sound):
            raise SpeechError(f"{self.command[0]} gives no sound")
        return sound[:, 0], rate

    def _run(self, text: bytes) -> bytes:
        """What the program writes, up to the limit."""
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
            except OSError as error:
                raise SpeechError(f"{self.command[0]} cannot be started: {error}") from error
            timer = threading.Timer(self.timeout, _kill, [process])
            timer.start()
            with process:
                wav = _converse(process, text)
                if len(wav) > MOST:
                    _kill(process)
                status = process.wait()
            in_time = timer.is_alive()
            timer.cancel()
            if not in_time:
                raise SpeechError(f"{self.command[0]} takes more than {self.timeout:g} s")
            if len(wav) > MOST:
                raise SpeechError(f"{self.command[0]} gives more than {MOST} bytes")
            if status != 0:
                why = _last_line(errors)
                raise SpeechError(f"{self.command[0]} ended with status {status}: {why}")
        return wav


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a program and what it has started, which would keep the pipe open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _converse(process: "subprocess.Popen[bytes]", text: bytes) -> bytes:
    """Hand a text to a program and read what it answers. A sentence fits into the pipe, so writing
    does not wait for the program to read."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the program has no pipes")
    try:
        process.stdin.write(text)
        process.stdin.close()
    except BrokenPipeError:
        pass  # its exit status tells why it does not read
    return process.stdout.read(MOST + 1)


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read(10_000).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it does not say why")
