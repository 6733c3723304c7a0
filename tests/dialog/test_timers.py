"""Timers: as many as a kitchen needs, through restarts and a clock that is put right."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soripan.dialog.timers import LONGEST, MOST, Finished, Timer, Timers
from soripan.exc import TimerError
from soripan.store import Store

NOON = 1_700_000_000.0


class Clocks:
    """The wall clock and the monotonic one of a Pi."""

    def __init__(self) -> None:
        self.wall = NOON
        self.monotonic = 50.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def restarts(self, after: float, wall_error: float = 0.0) -> None:
        """The panel is down for a while; the wall clock may be wrong then."""
        self.wall += after + wall_error
        self.monotonic = 3.0


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def run(store: Store | None, clocks: Clocks) -> Timers:
    return Timers(store, lambda: clocks.wall, lambda: clocks.monotonic)


@pytest.fixture
def timers(store: Store, clocks: Clocks) -> Timers:
    return run(store, clocks)


def test_a_timer_runs_out_once(timers: Timers, clocks: Clocks) -> None:
    assert timers.start(180, "라면") == Timer("라면", 180)
    clocks.passes(179.9)
    assert timers.poll() == []
    clocks.passes(0.1)
    assert timers.poll() == [Finished(Timer("라면", 180), late=False)]
    assert timers.poll() == []
    assert timers.status() == []


def test_several_run_out_in_their_order(timers: Timers, clocks: Clocks) -> None:
    for seconds in (30, 10, 20):
        timers.start(seconds)
    clocks.passes(25.0)
    assert [each.timer.seconds for each in timers.poll()] == [10, 20]
    assert timers.status() == [(Timer(None, 30), 5)]


def test_status_is_soonest_first_and_of_a_name(timers: Timers, clocks: Clocks) -> None:
    timers.start(600, "밥")
    clocks.passes(1.0)
    timers.start(60)
    clocks.passes(59.9)
    assert timers.status() == [(Timer(None, 60), 1), (Timer("밥", 600), 539)]
    assert timers.status("밥") == [(Timer("밥", 600), 539)]
    assert timers.status("국") == []


def test_a_name_that_runs_is_started_anew(timers: Timers, clocks: Clocks) -> None:
    timers.start(60, "라면")
    timers.start(60)
    timers.start(180, "라면")
    timers.start(60)
    clocks.passes(60.0)
    assert [each.timer.name for each in timers.poll()] == [None, None]
    assert timers.status() == [(Timer("라면", 180), 120)]


def test_cancel_by_name(timers: Timers) -> None:
    timers.start(60, "라면")
    timers.start(90)
    assert timers.cancel("라면") == Timer("라면", 60)
    assert timers.status() == [(Timer(None, 90), 90)]


def test_cancel_without_a_name_takes_the_last_without_one(timers: Timers) -> None:
    timers.start(600)
    timers.start(60)
    timers.start(30, "라면")
    timers.start(40, "밥")
    assert [timers.cancel() for _ in range(4)] == [
        Timer(None, 60),
        Timer(None, 600),
        Timer("밥", 40),
        Timer("라면", 30),
    ]


@pytest.mark.parametrize(("name", "values"), [(None, {}), ("국", {"name": "국"})])
def test_there_is_nothing_to_cancel(
    timers: Timers, name: str | None, values: dict[str, str]
) -> None:
    if name:
        timers.start(60)
    with pytest.raises(TimerError) as caught:
        timers.cancel(name)
    assert (caught.value.code, caught.value.values) == ("no_timer", values)


def test_there_is_an_end_to_the_number(timers: Timers, clocks: Clocks) -> None:
    for number in range(MOST):
        timers.start(60 + number, str(number))
    with pytest.raises(TimerError) as caught:
        timers.start(60)
    assert (caught.value.code, caught.value.values) == ("too_many_timers", {"limit": MOST})
    timers.start(999, "3")  # instead of the one of that name
    assert len(timers.status()) == MOST
    clocks.passes(60.0)
    timers.poll()
    timers.start(60)


@pytest.mark.parametrize("seconds", [-1, 0, LONGEST + 1])
def test_a_length_that_cannot_be(timers: Timers, seconds: int) -> None:
    with pytest.raises(TimerError) as caught:
        timers.start(seconds)
    assert caught.value.code == "timer_out_of_range"
    assert caught.value.values == {"low": 1, "high": LONGEST}


@pytest.mark.parametrize("seconds", [1, LONGEST])
def test_the_limits_can_be(timers: Timers, seconds: int) -> None:
    assert timers.start(seconds).seconds == seconds


def test_it_goes_on_after_a_restart(store: Store, clocks: Clocks) -> None:
    timers = run(store, clocks)
    timers.start(600, "밥")
    timers.start(60)
    timers.cancel()
    clocks.passes(100.0)
    assert store.flush()
    clocks.restarts(after=200.0)
    timers = run(store, clocks)
    assert timers.status() == [(Timer("밥", 600), 300)]
    clocks.passes(300.0)
    assert timers.poll() == [Finished(Timer("밥", 600), late=False)]


def test_what_ran_out_meanwhile_is_told_and_late(store: Store, clocks: Clocks) -> None:
    timers = run(store, clocks)
    timers.start(60, "라면")
    timers.start(600)
    clocks.restarts(after=300.0)
    timers = run(store, clocks)
    assert timers.poll() == [Finished(Timer("라면", 60), late=True)]
    assert timers.poll() == []
    clocks.passes(300.0)
    assert timers.poll() == [Finished(Timer(None, 600), late=False)]
    clocks.restarts(after=60.0)
    assert run(store, clocks).poll() == []


@pytest.mark.parametrize("jump", [3600.0 * 24 * 90, 30.0, -30.0, -3600.0 * 24 * 90])
def test_a_timer_of_this_run_does_not_care_about_the_wall_clock(
    store: Store, clocks: Clocks, jump: float
) -> None:
    timers = run(store, clocks)
    timers.start(600)
    clocks.passes(100.0)
    clocks.wall += jump
    assert timers.poll() == []
    assert timers.status() == [(Timer(None, 600), 500)]
    # and it can still be found after a restart, by the clock that is right now
    clocks.restarts(after=100.0)
    assert run(store, clocks).status() == [(Timer(None, 600), 400)]


def test_without_network_a_clock_that_went_back_adds_at_most_the_timer(
    store: Store, clocks: Clocks
) -> None:
    run(store, clocks).start(600)
    clocks.restarts(after=60.0, wall_error=-7200.0)
    timers = run(store, clocks)
    assert timers.status() == [(Timer(None, 600), 600)]
    clocks.passes(600.0)
    assert len(timers.poll()) == 1


def test_a_clock_put_right_after_the_restart_puts_the_timers_right(
    store: Store, clocks: Clocks
) -> None:
    timers = run(store, clocks)
    timers.start(600, "밥")
    timers.start(60, "라면")
    clocks.restarts(after=120.0, wall_error=-7200.0)
    timers = run(store, clocks)
    assert timers.poll() == []
    clocks.passes(10.0)
    clocks.wall += 7200.0
    assert timers.poll() == [Finished(Timer("라면", 60), late=True)]
    assert timers.status() == [(Timer("밥", 600), 470)]


def test_slow_drift_is_no_jump(timers: Timers, clocks: Clocks) -> None:
    timers.start(600)
    for _ in range(599):
        clocks.passes(1.0)
        clocks.wall += 0.0005
        assert timers.poll() == []
    clocks.passes(1.0)
    assert len(timers.poll()) == 1


@pytest.mark.parametrize("content", [b"nothing", b"{}", b'[{"timer": {"name": 3}}]'])
def test_a_corrupt_file_means_no_timers(tmp_path: Path, clocks: Clocks, content: bytes) -> None:
    (tmp_path / "timers.json").write_bytes(content)
    store = Store(tmp_path)
    timers = run(store, clocks)
    assert timers.status() == []
    timers.start(60)
    store.close()
    assert (tmp_path / "timers.corrupt").read_bytes() == content


def test_without_a_store_they_run_all_the_same(clocks: Clocks) -> None:
    timers = run(None, clocks)
    timers.start(5)
    clocks.passes(5.0)
    assert timers.poll() == [Finished(Timer(None, 5), late=False)]


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 60)), max_size=MOST))
def test_each_runs_out_once_and_not_before_its_time(steps: list[tuple[int, float]]) -> None:
    clocks = Clocks()
    timers = run(None, clocks)
    due: dict[str, float] = {}
    rung: list[str] = []
    for number, (seconds, wait) in enumerate([*steps, (1, 200.0)]):
        if len(timers.status()) < MOST:
            timers.start(seconds, str(number))
            due[str(number)] = clocks.monotonic + seconds
        clocks.passes(wait)
        for finished in timers.poll():
            assert finished.timer.name is not None
            assert clocks.monotonic >= due[finished.timer.name]
            rung.append(finished.timer.name)
    assert sorted(rung) == sorted(due)
