"""From a sentence to sound: the real espeak-ng, and programs that misbehave."""

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from soripan.audio import speech
from soripan.audio.speech import Synthesiser
from soripan.exc import AudioError, SpeechError, ToolMissingError

needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="sudo apt-get install espeak-ng"
)
ESPEAK = ["espeak-ng", "-v", "ko", "--stdin", "--stdout"]


def program(script: str, timeout: float = 10.0) -> Synthesiser:
    """A synthesiser that is a few lines of Python."""
    return Synthesiser([sys.executable, "-c", script], timeout)


@needs_espeak
def test_espeak_ng_speaks_korean() -> None:
    short, rate = Synthesiser(ESPEAK, 10).speak("네")
    long, _ = Synthesiser(ESPEAK, 10).speak("우유 두 병을 주문할까요?")
    assert long.dtype == np.int16
    assert long.ndim == 1
    assert 0.1 < short.size / rate < long.size / rate < 5
    assert np.abs(long.astype(np.int32)).max() > 3_000


@needs_espeak
def test_a_sentence_is_no_option() -> None:
    sound, rate = Synthesiser(ESPEAK, 10).speak("--version; rm -rf /")
    assert sound.size / rate > 0.5


COPY = """
import io, sys
import numpy as np, soundfile
size = len(sys.stdin.buffer.read())
out = io.BytesIO()
soundfile.write(out, np.full((size, 2), 0.25), 8_000, format="WAV", subtype="PCM_16")
sys.stdout.buffer.write(out.getvalue())
"""


def test_any_program_will_do() -> None:
    sound, rate = program(COPY).speak("우유")
    assert (sound.shape, rate) == ((len("우유".encode()),), 8_000)
    assert set(sound) == {8192}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import sys; sys.exit('no such voice')", "ended with status 1: no such voice"),
        ("import os; os.close(0); os._exit(3)", "ended with status 3: it does not say why"),
        ("print('hello')", "gives no WAV file"),
        ("", "gives no WAV file"),
    ],
)
def test_a_program_that_fails_is_named(script: str, why: str) -> None:
    with pytest.raises(SpeechError, match=why) as error:
        program(script).speak("네")
    assert isinstance(error.value, AudioError)


def test_a_program_that_hangs_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(SpeechError, match="takes more than 1 s"):
        program("import time; time.sleep(60)", timeout=1).speak("네")
    assert time.monotonic() - began < 30


def test_what_a_program_started_is_ended_with_it() -> None:
    began = time.monotonic()
    wrapper = "import subprocess; subprocess.run(['sleep', '60'])"
    with pytest.raises(SpeechError, match="takes more than 1 s"):
        program(wrapper, timeout=1).speak("네")
    assert time.monotonic() - began < 30


def test_a_program_that_never_stops_speaking_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "MOST", 1_000_000)
    with pytest.raises(SpeechError, match="more than 1000000 bytes"):
        program("import sys\nwhile True: sys.stdout.buffer.write(bytes(65536))", 60).speak("네")


def test_a_program_that_is_not_there_is_named_with_a_remedy() -> None:
    with pytest.raises(ToolMissingError, match="sudo apt-get install espeak-nothing"):
        Synthesiser(["espeak-nothing"], 1).speak("네")


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "speak"
    broken.write_text("not a program")
    broken.chmod(0o755)
    with pytest.raises(SpeechError, match="cannot be started"):
        Synthesiser([str(broken)], 1).speak("네")
