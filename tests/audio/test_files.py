"""Recordings of all kinds, and things that are none."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soripan.audio.files import FileSource
from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE, Frame
from soripan.exc import AudioFileError


def tone(rate: int = SAMPLE_RATE, seconds: float = 1.0, channels: int = 1) -> NDArray[np.float64]:
    """440 Hz at half of full scale, shape ``(n, channels)``."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
    return np.repeat(wave[:, np.newaxis], channels, axis=1)


def read_all(source: FileSource) -> list[Frame]:
    frames = []
    with source:
        while not source.ended:
            if (frame := source.read(1.0)) is not None:
                frames.append(frame)
    return frames


def joined(frames: list[Frame]) -> NDArray[np.int16]:
    return np.concatenate([frame.samples for frame in frames])


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        ("wav", "PCM_U8"),
        ("wav", "PCM_16"),
        ("wav", "PCM_24"),
        ("wav", "FLOAT"),
        ("flac", "PCM_16"),
        ("flac", "PCM_24"),
        ("ogg", "VORBIS"),
    ],
)
def test_every_format_sounds_the_same(
    tmp_path: Path, rate: int, channels: int, suffix: str, subtype: str
) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(rate, channels=channels), rate, subtype=subtype)
    frames = read_all(FileSource(path, tail=0.0))
    assert all(f.samples.shape == (FRAME_SAMPLES,) for f in frames)
    assert all(f.samples.dtype == np.int16 for f in frames)
    sound = joined(frames)[:SAMPLE_RATE]
    expected = tone()[:, 0] * 32_768
    assert np.corrcoef(sound[500:-500], expected[500:-500])[0, 1] > 0.999
    loudness = np.sqrt(np.mean(sound[500:-500].astype(np.float64) ** 2))
    # Of the sixth channel (the subwoofer) Vorbis keeps only the lowest notes: up to 1/6 is gone.
    tolerance = 0.18 if subtype == "VORBIS" else 0.01
    assert loudness == pytest.approx(16_384 / np.sqrt(2), rel=tolerance)


def test_16_khz_16_bit_is_bit_exact(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).integers(-32_768, 32_768, 50_000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    assert (joined(read_all(FileSource(tmp_path / "a.wav")))[: sound.size] == sound).all()


@pytest.mark.parametrize(
    "samples", [1, FRAME_SAMPLES - 1, FRAME_SAMPLES, FRAME_SAMPLES + 1, 40_000]
)
def test_frame_count_and_times(tmp_path: Path, samples: int) -> None:
    sound = np.full(samples, 1_000, np.int16)
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    frames = read_all(FileSource(tmp_path / "a.wav", lead_in=0.5, tail=1.0))
    assert len(frames) == -(-(8_000 + samples + 16_000) // FRAME_SAMPLES)
    assert [f.start for f in frames] == pytest.approx(np.arange(len(frames)) * FRAME_SECONDS)
    heard = joined(frames)
    assert not heard[:8_000].any()
    assert (heard[8_000 : 8_000 + samples] == 1_000).all()
    assert heard[8_000 + samples :].size >= 16_000
    assert not heard[8_000 + samples :].any()


def test_louder_than_full_scale_is_clipped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", 8 * tone(48_000), 48_000, subtype="FLOAT")
    sound = joined(read_all(FileSource(tmp_path / "loud.wav")))[:SAMPLE_RATE]
    assert sound.max() == 32_767
    assert sound.min() == -32_768
    # Wrapped samples would have the wrong sign.
    expected = tone()[:, 0]
    certain = np.abs(expected) > 0.1
    assert (np.sign(sound)[certain] == np.sign(expected)[certain]).all()


def test_realtime_gives_frames_when_a_microphone_would(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(seconds=0.8), SAMPLE_RATE)
    begin = time.monotonic()
    with FileSource(tmp_path / "a.wav", realtime=True, tail=0.0) as source:
        times = []
        while not source.ended:
            if source.read(1.0) is not None:
                times.append(time.monotonic() - begin)
    assert len(times) == 10
    assert all(at >= (index + 1) * FRAME_SECONDS for index, at in enumerate(times))
    assert times == sorted(times)
    assert times[-1] < 5


def test_realtime_keeps_to_the_timeout(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    with FileSource(tmp_path / "a.wav", realtime=True) as source:
        assert source.read(0.0) is None
        assert not source.ended
        assert source.read(1.0) is not None


def test_realtime_catches_up_after_a_slow_reader(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    with FileSource(tmp_path / "a.wav", realtime=True) as source:
        time.sleep(4.5 * FRAME_SECONDS)
        waiting = 0
        while source.read(0.0) is not None:
            waiting += 1
    assert waiting >= 4


def test_a_long_recording_is_not_in_memory_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(10 * 60 * SAMPLE_RATE, np.int16), SAMPLE_RATE)
    tracemalloc.start()
    with FileSource(path) as source:
        while source.read(1.0) is not None:
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000  # the file has 19,200,000 bytes


def test_can_be_opened_again(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), SAMPLE_RATE)
    source = FileSource(tmp_path / "a.wav")
    assert len(read_all(source)) == len(read_all(source)) > 0


def refused(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(AudioFileError) as caught:
        read_all(FileSource(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_missing(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere.wav") == "no such file"


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_zero_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert refused(tmp_path / name) == "is empty (0 bytes)"


def test_zero_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.empty(0, np.int16), SAMPLE_RATE)
    assert refused(tmp_path / "a.wav") == "holds no sound (0 samples)"


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
@pytest.mark.parametrize("length", [3, 20, 40])
def test_truncated_header(tmp_path: Path, name: str, length: int) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(), SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[:length])
    assert "is not a sound file, or its header is damaged" in refused(path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.99])
def test_truncated_data(tmp_path: Path, name: str, part: float) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(seconds=3), SAMPLE_RATE)
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * part)])
    message = refused(path)
    assert message.startswith("is truncated: the header promises ")
    assert "\n" not in message


def test_a_wav_chunk_after_the_sound_is_no_truncation(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), SAMPLE_RATE)
    path.write_bytes(path.read_bytes() + b"LIST\x04\x00\x00\x00INFO")
    assert len(read_all(FileSource(path, tail=0.0))) == 13


@pytest.mark.parametrize("size", [0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF])
def test_a_wav_from_a_pipe_has_no_length(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    assert content[36:40] == b"data"
    content[40:44] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(read_all(FileSource(path, tail=0.0))) == 13


def test_flac_damaged_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    noise = np.random.default_rng(0).integers(-9_000, 9_000, 10 * SAMPLE_RATE).astype(np.int16)
    soundfile.write(path, noise, SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2_000] = bytes(2_000)
    path.write_bytes(content)
    assert refused(path).startswith("is damaged after ")


def test_flac_of_unknown_length(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(), SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    # The 36 bits of STREAMINFO that give the number of samples (RFC 9639, 8.2).
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert "does not say how long it is" in refused(path)


@pytest.mark.parametrize("name", ["a.txt", "a.wav", "a.flac", "a.mp3", "a"])
def test_a_text_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("소리판\n" * 100, encoding="utf-8")
    assert "is not a sound file" in refused(tmp_path / name)


def test_raw_samples(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(32_000))
    assert "has no header" in refused(tmp_path / "a.raw")


@pytest.mark.parametrize("rate", [1, 100, 3_999, 400_000, 2_000_000_000])
def test_absurd_rate(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1_000, np.int16), rate)
    assert f"says its sample rate is {rate} Hz" in refused(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_a_number(tmp_path: Path, value: float) -> None:
    sound = tone(seconds=3)
    sound[40_000] = value
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE, subtype="FLOAT")
    assert "values that are no numbers" in refused(tmp_path / "a.wav")
