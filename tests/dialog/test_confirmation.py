"""Confirming an order: what a doubtful yes does."""

from soripan.dialog.confirmation import Confirmation
from soripan.dialog.responses import Responses
from soripan.nlu.intents import Intent
from support.language import ROOT

YES = Intent("Yes")


def milk() -> Confirmation:
    items = [{"name": "우유", "quantity": 2, "unit": "병"}]
    responses = Responses(ROOT / "config/language", "ko")
    return Confirmation(items, "우유 두 병 주문해 줘", responses, None, 20)


def test_a_yes_orders() -> None:
    assert milk().answer(YES).done == "ordered"


def test_a_yes_that_may_be_a_noise_is_asked_for_again() -> None:
    order = milk()
    step = order.answer(YES, certain=False)
    assert (step.done, step.speech) == ("asked", order.question())
    assert order.answer(YES).done == "ordered"


def test_noise_never_orders() -> None:
    order = milk()
    assert [order.answer(YES, certain=False).done for _ in range(2)] == ["asked", "dropped"]


def test_a_no_need_not_be_certain() -> None:
    assert milk().answer(Intent("No"), certain=False).done == "dropped"
