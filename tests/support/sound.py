"""A sound card without hardware: a private PulseAudio with a virtual microphone and loudspeaker.

Programs under test run as child processes with :attr:`SoundServer.env`: PortAudio reads ALSA's
configuration when it starts, and that leads to this server and to nothing else on the machine.

What is played into the sink ``room`` is what the microphone hears; what the panel plays goes to the
sink ``speaker``. The two do not mix.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import numpy as np

from soripan.audio.frame import SAMPLE_RATE, Samples

PACKAGES: Final = {
    "pulseaudio": "pulseaudio",
    "pactl": "pulseaudio-utils",
    "paplay": "pulseaudio-utils",
    "parec": "pulseaudio-utils",
}
"""Programs needed, and the Debian packages they are in."""

MICROPHONE: Final = "microphone"
SPEAKER: Final = "speaker"
"""The devices' names, for PortAudio as well as for PulseAudio."""

_FORMAT: Final = "rate=16000 channels=1 channel_map=mono format=s16le"

# A plain ``pulse`` pcm is not listed by PortAudio; one with a hint block is.
_ASOUND: Final = """\
pcm.{name} {{
    type pulse
    server "{server}"
    device "{name}"
    hint {{
        show on
        description "{name}"
    }}
}}
"""

# Without a pcm called "default" PortAudio 19.6 fails an assertion and aborts the process.
_ASOUND_DEFAULT: Final = """\
pcm.default {
    type asym
    capture.pcm "microphone"
    playback.pcm "speaker"
    hint {
        show on
        description "default"
    }
}
"""


class SoundServer:
    """A private PulseAudio, in a folder of its own; works for root and for ordinary users.

    Raises:
        RuntimeError: a program is missing, or the server does not start; says what to install.
    """

    def __init__(self) -> None:
        missing = sorted({apt for program, apt in PACKAGES.items() if not shutil.which(program)})
        if missing:
            raise RuntimeError(
                "the virtual sound card needs: sudo apt-get install libasound2-plugins "
                + " ".join(missing)
            )
        # Directly below /tmp: the path of a unix socket may have 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="sound-", dir="/tmp"))
        server = f"unix:{self.folder}/pulse"
        asound = self.folder / "asound.conf"
        asound.write_text(
            _ASOUND.format(server=server, name=MICROPHONE)
            + _ASOUND.format(server=server, name=SPEAKER)
            + _ASOUND_DEFAULT
        )
        self.env: dict[str, str] = os.environ | {
            "ALSA_CONFIG_PATH": str(asound),
            "PULSE_SERVER": server,
            "PULSE_RUNTIME_PATH": str(self.folder),
            "PULSE_STATE_PATH": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "HOME": str(self.folder),
        }
        """The environment for programs that shall hear and play here."""
        self._log: IO[bytes] = (self.folder / "log").open("ab")
        self._server: subprocess.Popen[bytes] | None = None
        self._keep_alive: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, or start it again after :meth:`stop` or :meth:`kill`."""
        self._server = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"),
                *("--use-pid-file=no", "--disable-shm=yes", "--realtime=no", "--high-priority=no"),
                "--log-target=stderr",
                f"--load=module-native-protocol-unix socket={self.folder}/pulse auth-anonymous=1",
                f"--load=module-null-sink sink_name=room {_FORMAT}",
                f"--load=module-remap-source source_name={MICROPHONE} master=room.monitor",
                f"--load=module-null-sink sink_name={SPEAKER} {_FORMAT}",
            ],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.wait_until(self._is_ready)
        # With nobody listening a null sink renders two seconds ahead, and the first second played
        # is late or lost. So somebody always listens, and nobody is let in before that works.
        heard = self.folder / "heard"
        with heard.open("wb") as file:
            self._keep_alive = subprocess.Popen(
                ["parec", "--device=room.monitor", "--latency-msec=80"],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=self._log,
            )
        self.wait_until(lambda: heard.stat().st_size > 0)

    def stop(self) -> None:
        """Stop the server in good order; its clients lose their streams."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Let the server crash."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the server's clock: connections stay open and nothing is answered any more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def suspend(self) -> None:
        """Put the microphone to sleep: its streams stay open and get nothing."""
        self.control("suspend-source", MICROPHONE, "1")

    def resume(self) -> None:
        """Wake a suspended microphone."""
        self.control("suspend-source", MICROPHONE, "0")

    def control(self, *command: str) -> str:
        """Run ``pactl`` with ``command`` and return what it prints."""
        return subprocess.run(
            ["pactl", *command],
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
        ).stdout

    def play(self, path: Path, sink: str = "room") -> None:
        """Play a sound file to its end, by default so that the microphone hears it."""
        subprocess.run(
            ["paplay", f"--device={sink}", "--latency-msec=80", str(path)],
            env=self.env,
            check=True,
            capture_output=True,
            timeout=120,
        )

    def listeners(self, source: str = MICROPHONE) -> int:
        """How many streams record from ``source`` now."""
        sources = dict(
            line.split("\t")[:2][::-1]
            for line in self.control("list", "short", "sources").splitlines()
        )
        outputs = self.control("list", "short", "source-outputs").splitlines()
        return sum(line.split("\t")[1] == sources[source] for line in outputs)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, or raise ``RuntimeError`` after 10 s."""
        deadline = time.monotonic() + 10
        while not condition():
            if time.monotonic() > deadline or not self._server or self._server.poll() is not None:
                log = (self.folder / "log").read_text(errors="replace")
                raise RuntimeError(f"PulseAudio does not do what is waited for: {log[-2000:]}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return f"{SPEAKER}.monitor" in self.control("list", "short", "sources")
        except subprocess.SubprocessError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(number)
            self._server.send_signal(signal.SIGCONT)  # a frozen one would never see SIGTERM
            try:
                self._server.wait(5)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        if self._keep_alive is not None:
            self._keep_alive.terminate()
            self._keep_alive.wait()
        self._server = self._keep_alive = None
        (self.folder / "pulse").unlink(missing_ok=True)


def noise(seconds: float, seed: int) -> Samples:
    """Noise below 4 kHz, which every sample rate on the way leaves alone."""
    count = round(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    spectrum[count * 4_000 // SAMPLE_RATE :] = 0
    wave = np.fft.irfft(spectrum, count)
    samples: Samples = np.rint(wave / np.abs(wave).max() * 16_000).astype(np.int16)
    return samples


def correlation(heard: Samples, played: Samples) -> float:
    """Pearson's correlation of ``played`` with the part of ``heard`` it fits best, in -1..1."""
    size = heard.size + played.size
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)[: max(1, heard.size - played.size)]))
    part = heard[lag : lag + played.size].astype(np.float64)
    if part.size < played.size or not part.any():
        return 0.0
    return float(np.corrcoef(part, played)[0, 1])
