"""What the panel answers without any appliance."""

import time

import pytest

from soripan.dialog.builtin import Builtin
from soripan.dialog.responses import Responses
from soripan.dialog.timers import Timers
from soripan.exc import TimerError
from soripan.nlu.intents import Intent
from support.language import LANGUAGE_FOLDER


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def builtin(clock: Clock) -> Builtin:
    def local() -> time.struct_time:
        return time.strptime("2026-03-01 15:05", "%Y-%m-%d %H:%M")

    return Builtin(Timers(None, clock, clock), Responses(LANGUAGE_FOLDER, "ko"), local)


def ask(builtin: Builtin, intent: str, /, **slots: object) -> str | None:
    return builtin.handle(Intent(intent, slots))


@pytest.mark.parametrize(
    ("intent", "said"),
    [
        ("GetTime", "오후 3시 5분이에요."),
        ("GetDate", "2026년 3월 1일 일요일이에요."),
        ("Repeat", "아직 드린 말씀이 없어요."),
        ("Stop", "네, 그만할게요."),
        ("Yes", "네, 무엇을 할까요?"),
        ("No", "네, 알겠어요."),
        ("TimerStatus", "그런 타이머가 없어요."),
        ("TurnOn", None),
        ("ShoppingOrder", None),
    ],
)
def test_answers(builtin: Builtin, intent: str, said: str | None) -> None:
    assert ask(builtin, intent) == said


def test_the_help_gives_an_example(builtin: Builtin) -> None:
    assert "냉동실 온도 알려 줘" in (ask(builtin, "Help") or "")


def test_repeat_says_the_last_thing_that_was_said(builtin: Builtin) -> None:
    builtin.said("TV를 켰어요.")
    builtin.said("")
    assert ask(builtin, "Repeat") == "TV를 켰어요."
    assert ask(builtin, "Repeat") == "TV를 켰어요."


def test_the_life_of_a_timer(builtin: Builtin, clock: Clock) -> None:
    assert ask(builtin, "StartTimer", seconds=180) == "3분 타이머를 시작했어요."
    assert ask(builtin, "StartTimer", seconds=90, name="라면") == (
        "라면 타이머를 1분 30초로 시작했어요."
    )
    clock.now += 30
    assert ask(builtin, "TimerStatus", name="라면") == "라면 타이머는 1분 남았어요."
    assert sorted((ask(builtin, "TimerStatus") or "").split(". ")) == [
        "2분 30초 남았어요.",
        "라면 타이머는 1분 남았어요",
    ]
    assert builtin.poll() == []
    clock.now += 60
    ((done, said),) = builtin.poll()
    assert (done.timer.name, said) == ("라면", "라면 타이머가 끝났어요.")
    assert ask(builtin, "CancelTimer") == "3분 타이머를 취소했어요."
    clock.now += 600
    assert builtin.poll() == []


def test_a_timer_that_cannot_be(builtin: Builtin) -> None:
    with pytest.raises(TimerError) as caught:
        ask(builtin, "StartTimer", seconds=24 * 3600 + 1)
    assert caught.value.code == "timer_out_of_range"
    with pytest.raises(TimerError) as caught:
        ask(builtin, "CancelTimer")
    assert caught.value.code == "no_timer"
