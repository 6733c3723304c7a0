"""When the scores of a wake word count as heard."""

import pytest

from soripan.audio.frame import FRAME_SECONDS
from soripan.wake.detector import Trigger


def hits(trigger: Trigger, scores: list[float]) -> list[int]:
    return [n for n, score in enumerate(scores) if trigger.update(score) is not None]


def test_the_threshold_itself_counts() -> None:
    trigger = Trigger(0.5, 1, 0.0)
    assert hits(trigger, [0.49, 0.5, 0.2, 0.9]) == [1, 3]


def test_the_mean_over_the_last_frames_counts() -> None:
    trigger = Trigger(0.5, 3, 0.0)
    assert hits(trigger, [1.0, 0.0, 0.4, 1.0, 0.0, 0.0]) == []
    assert trigger.update(1.0) is None
    assert trigger.update(0.8) == pytest.approx(0.6)


def test_silence_counts_before_the_first_frame() -> None:
    assert hits(Trigger(0.5, 4, 0.0), [1.0, 1.0]) == [1]


def test_it_rests_after_a_hit() -> None:
    trigger = Trigger(0.5, 1, 5 * FRAME_SECONDS)
    assert hits(trigger, [1.0] * 13) == [0, 6, 12]


def test_scores_during_the_rest_are_smoothed_in() -> None:
    trigger = Trigger(0.5, 2, 2 * FRAME_SECONDS)
    assert hits(trigger, [1.0, 0.0, 0.0, 0.4, 1.0]) == [0, 4]


def test_reset_forgets_the_scores_and_the_rest() -> None:
    trigger = Trigger(0.5, 2, 10.0)
    assert trigger.update(1.0) == 0.5
    trigger.reset()
    assert trigger.update(0.9) is None
    trigger.reset()
    assert trigger.update(1.0) == 0.5
