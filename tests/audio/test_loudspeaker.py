"""The loudspeaker: sounds in their order, and never in the way of the pipeline."""

import logging
import threading
import time

import numpy as np
import pytest

from soripan.audio import loudspeaker
from soripan.audio.frame import Samples
from soripan.audio.loudspeaker import Loudspeaker, Sound
from soripan.exc import AudioError


def click() -> tuple[Samples, int]:
    return np.zeros(160, np.int16), 16_000


def test_never_makes_the_pipeline_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    played: list[Sound] = []
    done: list[Sound] = []

    def hang(sound: Sound, device: str) -> None:
        release.wait(10)
        played.append(sound)

    monkeypatch.setattr(loudspeaker, "_play", hang)
    sounds = [Sound("earcons", click, done.append) for _ in range(20)]
    with Loudspeaker() as speaker:
        begin = time.monotonic()
        for sound in sounds:
            speaker.play(sound)
        assert time.monotonic() - begin < 1
        release.set()
    assert len(played) <= loudspeaker.WAITING + 1
    assert played == sounds[: len(played)]
    assert len(caplog.records) == 20 - len(played)
    assert "are dropped" in caplog.text
    assert sorted(map(id, done)) == sorted(map(id, sounds))  # also of those that were dropped


def test_what_is_cancelled_in_time_is_not_played(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[Sound] = []
    done: list[Sound] = []
    monkeypatch.setattr(loudspeaker, "_play", lambda sound, _: played.append(sound))
    one, other = Sound("speech", click, done.append), Sound("speech", click, done.append)
    one.cancel()
    with Loudspeaker() as speaker:
        speaker.play(one)
        speaker.play(other)
    assert played == [other]
    assert done == [one, other]


def test_warns_once_for_each_kind_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    working = False

    def fail_at_first(sound: Sound, device: str) -> None:
        if not working:
            raise AudioError(f"no {sound.kind} today")

    monkeypatch.setattr(loudspeaker, "_play", fail_at_first)
    heard = threading.Event()
    with caplog.at_level(logging.WARNING), Loudspeaker() as speaker:
        for kind in ("earcons", "speech", "earcons"):
            speaker.play(Sound(kind, click))
        speaker.play(Sound("speech", click, lambda _: heard.set()))
        assert heard.wait(5)
        working = True
        heard.clear()
        speaker.play(Sound("speech", click, lambda _: heard.set()))
        assert heard.wait(5)
        working = False
        speaker.play(Sound("speech", click))
    assert [record.getMessage() for record in caplog.records] == [
        "earcons cannot be played: no earcons today",
        "speech cannot be played: no speech today",
        "speech cannot be played: no speech today",
    ]


def test_outlives_a_surprise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    played = []

    def fail_at_first(sound: Sound, device: str) -> None:
        played.append(sound)
        if len(played) == 1:
            raise RuntimeError("a surprise")

    monkeypatch.setattr(loudspeaker, "_play", fail_at_first)
    with Loudspeaker() as speaker:
        speaker.play(Sound("earcons", click))
        speaker.play(Sound("earcons", click))
    assert len(played) == 2
    assert "Traceback" in caplog.text
