"""Earcons: what they are made of, and that they are heard."""

import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from soripan.audio.earcons import Earcon, Earcons, synthesise
from soripan.audio.frame import SAMPLE_RATE
from soripan.audio.loudspeaker import Loudspeaker, Sound
from soripan.events import Action, Error, Event, EventBus, RequestMade, TimerDone, Wake
from support.sound import SPEAKER, SoundServer, correlation

PLAY = """
import logging, sys
from soripan.audio.earcons import Earcons
from soripan.audio.loudspeaker import Loudspeaker
from soripan.events import Error, EventBus, Wake
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
bus = EventBus()
with Loudspeaker(sys.argv[1]) as loudspeaker:
    Earcons(bus, loudspeaker)
    bus.publish(Wake(wake_word="alexa", assistant="alexa", score=1.0))
    bus.publish(Error(code="no_speech", message="nothing was said"))
print("done")
"""


def pitch(sound: NDArray[np.int16], rate: int) -> float:
    """The strongest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(sound, 4 * rate))
    return float(np.argmax(spectrum)) / 4


@pytest.mark.parametrize("earcon", get_args(Earcon))
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_short_quiet_and_soft(earcon: Earcon, rate: int) -> None:
    sound = synthesise(earcon, rate)
    assert 0.1 < sound.size / rate < 0.25
    level = np.abs(sound.astype(np.float64)) / 32_768
    assert 0.05 < level.max() <= 0.1
    assert level[: rate // 1_000].max() < 0.02  # no click at the beginning
    assert level[-rate // 1_000 :].max() < 0.02  # nor at the end


def test_wake_rises_and_sorry_falls() -> None:
    def halves(earcon: Earcon) -> tuple[float, float]:
        sound = synthesise(earcon, 48_000)
        return pitch(sound[:3_500], 48_000), pitch(sound[-5_000:], 48_000)

    first, second = halves("wake")
    assert first < second
    first, second = halves("sorry")
    assert first > second


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Wake(wake_word="alexa", assistant="alexa", score=1.0), ["wake"]),
        (Action(intent="TurnOn", speech=""), ["done"]),
        (RequestMade(id="1", assistant="alexa", kind="shopping", text="", speech=""), ["done"]),
        (Error(code="no_speech", message=""), ["sorry"]),
        (TimerDone(name=None, seconds=60, speech=""), ["timer"] * 3),
    ],
)
def test_which_event_has_which_sound(event: Event, expected: list[Earcon]) -> None:
    played: list[Sound] = []

    class Silent(Loudspeaker):
        def play(self, sound: Sound) -> None:
            played.append(sound)

    bus = EventBus()
    Earcons(bus, Silent())
    bus.publish(event)
    for sound, earcon in zip(played, expected, strict=True):
        samples, rate = sound.make()
        np.testing.assert_array_equal(samples, synthesise(earcon, rate))


@pytest.mark.parametrize("device", [SPEAKER, ""])
def test_is_heard_whole(device: str, tmp_path: Path) -> None:
    record = ["parec", f"--device={SPEAKER}.monitor", "--rate=16000", "--channels=1"]
    with SoundServer() as server, (tmp_path / "heard").open("wb") as file:
        recording = subprocess.Popen([*record, "--latency-msec=20"], env=server.env, stdout=file)
        server.wait_until(lambda: (tmp_path / "heard").stat().st_size > 0)
        played = subprocess.run(
            [sys.executable, "-c", PLAY, device],
            env=server.env,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        time.sleep(0.3)
        recording.terminate()
        recording.wait()
    assert played.stdout == "done\n"
    heard = np.frombuffer((tmp_path / "heard").read_bytes(), np.int16)
    wake, sorry = synthesise("wake", SAMPLE_RATE), synthesise("sorry", SAMPLE_RATE)
    # Even paplay loses a period here and there in a sink that has just woken.
    assert correlation(heard, wake) > 0.9
    assert correlation(heard, sorry) > 0.9
    level = np.abs(heard.astype(np.int32))
    assert level.max() < 0.12 * 32_768
    pieces = level[: level.size // 160 * 160].reshape(-1, 160).max(axis=1)  # of 10 ms
    assert np.count_nonzero(pieces > 10) * 160 > 0.9 * (wake.size + sorry.size)


def test_no_loudspeaker_is_one_warning() -> None:
    with SoundServer() as server:
        server.stop()
        played = subprocess.run(
            [sys.executable, "-c", PLAY, ""],
            env=server.env,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    assert played.stdout.count("WARNING earcons cannot be played: no output device") == 1
    assert played.stdout.endswith("done\n")


def test_no_portaudio_is_one_warning() -> None:
    hidden = "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
    played = subprocess.run(
        [sys.executable, "-c", hidden + PLAY, ""],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert played.stdout.count("WARNING") == 1
    assert "sudo apt-get install libportaudio2" in played.stdout
    assert played.stdout.endswith("done\n")
