"""Cutting sound into frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE
from soripan.audio.framer import Framer


def joined(framer: Framer, sound: NDArray[np.float32], sizes: list[int]) -> NDArray[np.int16]:
    frames = []
    for size in sizes:
        frames += framer.push(sound[:size])
        sound = sound[size:]
    frames += framer.push(sound) + framer.flush()
    return np.concatenate([frame.samples for frame in frames] or [np.empty(0, np.int16)])


@given(sizes=st.lists(st.integers(0, 4_000), max_size=8), length=st.integers(0, 8_000))
def test_16_khz_mono_passes_unchanged_in_any_portions(sizes: list[int], length: int) -> None:
    sound = np.random.default_rng(length).integers(-32_768, 32_768, length).astype(np.int16)
    out = joined(
        Framer(SAMPLE_RATE), sound[:, np.newaxis].astype(np.float32) / np.float32(32_768), sizes
    )
    assert out.size == -(-length // FRAME_SAMPLES) * FRAME_SAMPLES
    assert (out[:length] == sound).all()
    assert not out[length:].any()


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_resampled_in_portions_as_in_one_piece(rate: int) -> None:
    time = np.arange(rate) / rate
    sound = np.array(0.5 * np.sin(2 * np.pi * 1_000 * time), np.float32)[:, np.newaxis]
    whole = joined(Framer(rate), sound, [])
    assert (joined(Framer(rate), sound, [1, 777, 5_000, 3]) == whole).all()
    expected = 0.5 * 32_768 * np.sin(2 * np.pi * 1_000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    inside = slice(500, -500)  # at the edges a resampler rings
    assert np.abs(whole[:SAMPLE_RATE] - expected)[inside].max() < 50


def test_clips_and_does_not_wrap() -> None:
    sound = np.array([[1.0], [-1.0], [3.0], [-3.0], [0.5]], np.float32)
    out = joined(Framer(SAMPLE_RATE), sound, [])
    assert out[:5].tolist() == [32_767, -32_768, 32_767, -32_768, 16_384]


def test_channels_are_averaged() -> None:
    sound = np.array([[1.0, -1.0], [0.5, 0.25]], np.float32)
    assert joined(Framer(SAMPLE_RATE), sound, [])[:2].tolist() == [0, 12_288]


def test_times_go_on_from_the_start() -> None:
    framer = Framer(SAMPLE_RATE, start=7.5)
    frames = framer.push(np.zeros((3 * FRAME_SAMPLES, 1), np.float32))
    assert [frame.start for frame in frames] == pytest.approx(
        [7.5, 7.5 + FRAME_SECONDS, 7.5 + 2 * FRAME_SECONDS]
    )
