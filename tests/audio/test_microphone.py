"""The microphone with a real PortAudio and a real sound server, and what can go wrong with them."""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest
import soundfile

from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE, Samples
from soripan.audio.microphone import _Block, _Cutter, _Stream
from support.sound import MICROPHONE, SoundServer, correlation, noise

# Prints a line of JSON for everything that happens; mutes and so on when told to.
LISTENER = """
import base64, json, logging, sys, threading, time
from soripan.audio.microphone import MicrophoneSource
from soripan.events import Error, EventBus
from soripan.exc import MicrophoneError

def say(kind, **what):
    print(json.dumps({"kind": kind, **what}), flush=True)

class Log(logging.Handler):
    def emit(self, record):
        say("log", level=record.levelname, text=record.getMessage())

logging.basicConfig(level=logging.INFO, handlers=[Log()])
options = json.loads(sys.argv[1])
bus = EventBus()
bus.subscribe(Error, lambda event: say("error", code=event.code, text=event.message))
source = MicrophoneSource(options["device"], options["queue"], bus)
going = True
nap = 0.0

def obey():
    global going, nap
    for line in sys.stdin:
        order = line.strip()
        if order.startswith("sleep"):
            nap = float(order.split()[1])
        elif order == "quit":
            going = False
        else:
            getattr(source, order)()
            say(order)

if options["muted"]:
    source.mute()
threading.Thread(target=obey, daemon=True).start()
try:
    with source:
        say("open")
        while going:
            before = time.monotonic()
            frame = source.read(0.2)
            took = time.monotonic() - before
            if took > 1.0:
                say("slow", seconds=took)
            if frame is not None:
                say("frame", start=frame.start, muted=source.muted,
                    samples=base64.b64encode(frame.samples.tobytes()).decode())
            if nap:
                time.sleep(nap)
                nap = 0.0
                say("awake")
except MicrophoneError as error:
    say("failed", text=str(error))
    sys.exit(error.exit_code)
"""


class Listener:
    """A process that listens to the microphone, and what it said."""

    def __init__(
        self,
        server: SoundServer,
        device: str = MICROPHONE,
        queue: float = 5.0,
        muted: bool = False,
        before: str = "",
    ) -> None:
        options = json.dumps({"device": device, "queue": queue, "muted": muted})
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + LISTENER, options],
            env=server.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: list[dict[str, Any]] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.said.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def tell(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def wait_for(self, kind: str, text: str = "", count: int = 1, timeout: float = 10) -> Any:
        """Wait until it has said so ``count`` times; return the last of them."""

        def found() -> Any:
            fits = [s for s in self.said if s["kind"] == kind and text in s.get("text", "")]
            return fits[count - 1] if len(fits) >= count else None

        with self._changed:
            self._changed.wait_for(lambda: self._ended or found(), timeout)
            assert found(), f"no {kind} {text!r}: {self.words()}"
            return found()

    def wait_for_sound(self, count: int = 5) -> None:
        """Wait for ``count`` frames from now on."""
        self.wait_for("frame", count=len(self.frames()) + count)

    def frames(self) -> list[dict[str, Any]]:
        return [said for said in self.said if said["kind"] == "frame"]

    def words(self) -> list[dict[str, Any]]:
        """All it said but the frames."""
        return [said for said in self.said if said["kind"] != "frame"]

    def sound(self) -> Samples:
        frames = [base64.b64decode(frame["samples"]) for frame in self.frames()]
        assert {len(frame) for frame in frames} == {2 * FRAME_SAMPLES}
        return np.frombuffer(b"".join(frames), np.int16)

    def exit_code(self, timeout: float = 15) -> int:
        return self.process.wait(timeout)


def eventually(condition: Callable[[], bool], timeout: float = 5) -> bool:
    deadline = time.monotonic() + timeout
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.fixture(scope="module")
def server() -> Iterator[SoundServer]:
    with SoundServer() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[SoundServer]:
    """A server that the test may break."""
    with SoundServer() as server:
        yield server


def play(server: SoundServer, tmp_path: Path, seed: int, seconds: float = 1.5) -> Samples:
    sound = noise(seconds, seed)
    path = tmp_path / f"{seed}.wav"
    soundfile.write(path, sound, SAMPLE_RATE)
    server.play(path)
    return sound


@pytest.mark.parametrize("device", [MICROPHONE, MICROPHONE[1:5].upper(), ""])
def test_hears_what_is_played(server: SoundServer, tmp_path: Path, device: str) -> None:
    with Listener(server, device) as listener:
        listener.wait_for_sound()
        played = play(server, tmp_path, 1)
        listener.wait_for_sound()
        listener.tell("quit")
        assert listener.exit_code() == 0
        assert correlation(listener.sound(), played) > 0.98
        starts = [frame["start"] for frame in listener.frames()]
        assert starts[0] == 0.0
        assert np.diff(starts) == pytest.approx(FRAME_SECONDS)


def test_a_device_that_refuses_16_khz_is_resampled(server: SoundServer, tmp_path: Path) -> None:
    picky = """
import sounddevice
class Picky(sounddevice.InputStream):
    def __init__(self, **options):
        if options["samplerate"] == 16000 or options["channels"] == 1:
            raise sounddevice.PortAudioError("Invalid sample rate", -9997)
        super().__init__(**options)
sounddevice.InputStream = Picky
"""
    with Listener(server, before=picky) as listener:
        listener.wait_for("log", "44100 Hz, channels: 2")
        listener.wait_for_sound()
        played = play(server, tmp_path, 2)
        listener.wait_for_sound()
        assert correlation(listener.sound(), played) > 0.98


def test_an_unknown_device_is_an_error_that_lists_the_known(server: SoundServer) -> None:
    with Listener(server, device="theremin") as listener:
        failed = listener.wait_for("failed")
        assert "no input device named like “theremin”" in failed["text"]
        assert f"“{MICROPHONE}”" in failed["text"]
        assert listener.exit_code() == 69


def test_no_sound_server_at_all(own_server: SoundServer) -> None:
    own_server.stop()
    with Listener(own_server) as listener:
        assert "there is: none" in listener.wait_for("failed")["text"]
        assert listener.exit_code() == 69


def test_no_portaudio(server: SoundServer) -> None:
    hidden = "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
    with Listener(server, before=hidden) as listener:
        assert "sudo apt-get install libportaudio2" in listener.wait_for("failed")["text"]


def test_recovers_when_the_sound_server_crashed(own_server: SoundServer, tmp_path: Path) -> None:
    with Listener(own_server) as listener:
        listener.wait_for_sound()
        own_server.kill()
        assert listener.wait_for("error")["code"] == "microphone"
        before = len(listener.frames())
        time.sleep(2)  # long enough for attempts that fail
        assert len(listener.frames()) == before
        own_server.start()
        listener.wait_for("log", "the microphone is back", timeout=15)
        played = play(own_server, tmp_path, 3)
        listener.wait_for_sound()
        listener.tell("quit")
        assert listener.exit_code() == 0
        assert correlation(listener.sound(), played) > 0.98
        gap = listener.frames()[before]["start"] - listener.frames()[before - 1]["start"]
        assert gap > 2  # the time without sound shows
        kinds = [said["kind"] for said in listener.words()]
        assert kinds.count("error") == 1
        assert "slow" not in kinds  # read() kept to its timeout all the while


def test_a_server_that_hangs_ends_the_process(own_server: SoundServer) -> None:
    with Listener(own_server) as listener:
        listener.wait_for_sound()
        own_server.freeze()
        assert listener.wait_for("error")["code"] == "microphone"
        assert "only a new process helps" in listener.wait_for("failed", timeout=15)["text"]
        assert listener.exit_code() == 69
        # read() kept to its timeout while PortAudio hung.
        assert not [said for said in listener.words() if said["kind"] == "slow"]


def test_mute_stops_capture(server: SoundServer, tmp_path: Path) -> None:
    with Listener(server) as listener:
        listener.wait_for_sound()
        assert server.listeners() == 1
        listener.tell("mute")
        listener.wait_for("mute")
        assert eventually(lambda: server.listeners() == 0)
        before = len(listener.frames())
        secret = play(server, tmp_path, 4)
        assert len(listener.frames()) == before
        listener.tell("unmute")
        listener.wait_for_sound()
        played = play(server, tmp_path, 5)
        listener.wait_for_sound()
        assert correlation(listener.sound(), played) > 0.98
        assert correlation(listener.sound(), secret) < 0.3
        assert not any(frame["muted"] for frame in listener.frames())
        gap = listener.frames()[before]["start"] - listener.frames()[before - 1]["start"]
        assert gap > 1.4
        assert not [said for said in listener.words() if said["kind"] == "error"]


def test_muted_from_the_start(server: SoundServer) -> None:
    with Listener(server, muted=True) as listener:
        listener.wait_for("open")
        time.sleep(0.5)
        assert server.listeners() == 0
        assert not listener.frames()
        listener.tell("unmute")
        listener.wait_for_sound()


def test_a_slow_pipeline_loses_the_oldest_sound(server: SoundServer) -> None:
    with Listener(server, queue=0.8) as listener:
        listener.wait_for_sound()
        listener.tell("sleep 3")
        listener.wait_for("awake")
        listener.wait_for_sound()
        listener.wait_for("log", "s of sound: the pipeline is too slow")
        steps = np.diff([frame["start"] for frame in listener.frames()])
        # Of 3 s, 0.8 s were kept, and nothing else was lost.
        assert 1.5 < steps.max() < 3.0
        assert np.sort(steps)[:-1] == pytest.approx(FRAME_SECONDS)


def test_recovers_when_the_device_was_suspended(own_server: SoundServer) -> None:
    with Listener(own_server) as listener:
        listener.wait_for_sound()
        own_server.suspend()
        assert "no sound" in listener.wait_for("error")["text"]
        own_server.resume()
        listener.wait_for("log", "the microphone is back", timeout=15)
        listener.wait_for_sound()
        assert [said["kind"] for said in listener.words()].count("error") == 1


def test_lists_the_devices(server: SoundServer) -> None:
    code = (
        "from soripan.audio.microphone import list_devices\n"
        "for d in list_devices(): print(d.name, d.channels > 0, d.rate > 0, d.default)"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code], env=server.env, capture_output=True, text=True, check=True
    )
    assert f"{MICROPHONE} True True False" in listed.stdout.splitlines()
    assert "default True True True" in listed.stdout.splitlines()


def test_portaudio_is_loaded_only_when_needed() -> None:
    code = (
        "import sys, soripan.audio.files, soripan.audio.microphone, soripan.audio.loudspeaker\n"
        "print('sounddevice' in sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "False\n"


@pytest.mark.parametrize(
    ("levels", "expected"), [([100], 100), ([100, 0], 50), ([100, 0, 0, 900], 100)]
)
def test_channels_of_a_microphone(levels: list[int], expected: int) -> None:
    """Stereo is mixed; of an array of microphones the first is taken."""
    block = np.tile(np.array(levels, np.int16), (FRAME_SAMPLES, 1))
    (frame,) = _Cutter().cut(_Block(_Stream(), 0, block))
    assert set(frame.samples.tolist()) == {expected}


def test_no_frame_spans_lost_sound() -> None:
    stream = _Stream()
    stream.start = 2.0
    cutter = _Cutter()
    old = np.full((1_000, 1), 1, np.int16)
    new = np.full((FRAME_SAMPLES, 1), 2, np.int16)
    assert cutter.cut(_Block(stream, 0, old)) == []
    (frame,) = cutter.cut(_Block(stream, 3_000, new))
    assert set(frame.samples.tolist()) == {2}
    assert frame.start == pytest.approx(2.0 + 3_000 / SAMPLE_RATE)
