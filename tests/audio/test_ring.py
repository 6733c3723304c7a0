"""The ring buffer against a plain list that forgets nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.audio.frame import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE, Frame
from soripan.audio.ring import RingBuffer


def frame(index: int) -> Frame:
    """Frame number ``index`` of a sound in which every sample tells where it belongs."""
    first = index * FRAME_SAMPLES
    samples = np.arange(first, first + FRAME_SAMPLES).astype(np.int16)
    return Frame(samples, index * FRAME_SECONDS)


@given(
    seconds=st.floats(0.0, 1.0),
    steps=st.lists(st.sampled_from([1, 1, 1, 1, 2, 5]), max_size=60),
    wanted=st.floats(0.0, 2.0),
)
def test_like_a_list_of_all_samples(seconds: float, steps: list[int], wanted: float) -> None:
    ring = RingBuffer(seconds)
    capacity = max(1, round(seconds * SAMPLE_RATE))
    model: list[int] = []
    index = 0
    for step in steps:
        index += step
        if step > 1:  # frames in between were lost
            model = []
        ring.append(frame(index))
        model += frame(index).samples.tolist()
        assert len(ring) == min(capacity, len(model))

    samples, start = ring.last(wanted)
    count = min(len(model), capacity, round(wanted * SAMPLE_RATE))
    assert samples.dtype == np.int16
    assert samples.tolist() == model[len(model) - count :]
    end = (index + 1) * FRAME_SECONDS if steps else 0.0
    assert start == pytest.approx(end - count / SAMPLE_RATE)


def test_what_it_returned_stays_when_more_comes() -> None:
    ring = RingBuffer(0.1)
    ring.append(frame(0))
    samples, _ = ring.last(0.1)
    before = samples.copy()
    ring.append(frame(1))
    assert (samples == before).all()


def test_clear_forgets() -> None:
    ring = RingBuffer(1.0)
    ring.append(frame(0))
    ring.clear()
    assert ring.last(1.0)[0].size == 0
    ring.append(frame(1))
    samples, start = ring.last(1.0)
    assert samples.tolist() == frame(1).samples.tolist()
    assert start == pytest.approx(FRAME_SECONDS)


def test_memory_does_not_grow() -> None:
    ring = RingBuffer(0.5)
    buffer = ring._samples
    for index in range(200):
        ring.append(frame(index))
    assert ring._samples is buffer
    assert len(ring) == buffer.size == 8_000
