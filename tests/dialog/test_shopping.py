"""The panel's own list, and who may order what when."""

import datetime
import json
from typing import Any

import pytest

from soripan.config import ShoppingSettings
from soripan.dialog.responses import Responses
from soripan.dialog.shopping import PUBLISHED, SPOKEN, ShoppingList, check_order
from soripan.exc import RefusedError
from soripan.mqtt.messages import Item
from soripan.mqtt.outbox import Purchase
from support.language import LANGUAGE_FOLDER

KOREAN = Responses(LANGUAGE_FOLDER, "ko")
NOON = datetime.time(12)


def bought(name: str, status: Any = "confirmed", order: bool = False, days: int = 0) -> Purchase:
    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    items = [Item(name=name, quantity=1)]
    return Purchase(key=name, items=items, order=order, status=status, at=at)


def test_it_is_read_aloud() -> None:
    purchases = [
        bought("우유"),
        bought("계란", order=True),
        bought("쌀", "kept", order=True),
        bought("금", "refused", order=True),
        bought("소금", days=8),
    ]
    said = ShoppingList(purchases, 7).spoken(KOREAN)
    assert said == (
        "장보기 목록에 우유가 있어요. 주문한 것은 계란이에요. 아직 보내지 못한 주문은 쌀이에요."
    )
    assert ShoppingList((), 7).spoken(KOREAN) == "장보기 목록이 비어 있어요."


def test_what_becomes_of_a_request_replaces_what_it_was() -> None:
    shopping = ShoppingList([bought("우유", "kept")], 7)
    shopping.note(bought("우유", "confirmed"))
    assert [entry["status"] for entry in json.loads(shopping.published())] == ["confirmed"]


def test_it_is_bounded() -> None:
    shopping = ShoppingList([bought(f"물건{n}") for n in range(150)], 7)
    assert len(json.loads(shopping.published())) == PUBLISHED
    assert shopping.spoken(KOREAN).count("물건") == SPOKEN


@pytest.mark.parametrize(
    ("hours", "now", "allowed"),
    [
        ((7, 22), 6, False),
        ((7, 22), 7, True),
        ((7, 22), 21, True),
        ((7, 22), 22, False),
        ((20, 6), 23, True),
        ((20, 6), 5, True),
        ((20, 6), 12, False),
    ],
)
def test_hours(hours: tuple[int, int], now: int, allowed: bool) -> None:
    first, last = (datetime.time(hour) for hour in hours)
    settings = ShoppingSettings(order_from=first, order_until=last)
    if allowed:
        check_order(settings, [], False, datetime.time(now))
    else:
        with pytest.raises(RefusedError) as caught:
            check_order(settings, [], False, datetime.time(now))
        assert caught.value.code == "order_hours"
        assert KOREAN.text("order_hours", **caught.value.values)


def test_a_tv_that_plays() -> None:
    with pytest.raises(RefusedError, match="TV"):
        check_order(ShoppingSettings(), [], True, NOON)
    check_order(ShoppingSettings(while_tv_plays=True), [], True, NOON)
    check_order(ShoppingSettings(orders="pin", pin_file="x"), [], True, NOON)


@pytest.mark.parametrize("quantity", [20, 21])
def test_quantity(quantity: int) -> None:
    items = [{"name": "우유", "quantity": quantity}]
    if quantity <= 20:
        check_order(ShoppingSettings(), items, False, NOON)
    else:
        with pytest.raises(RefusedError, match="more than 20"):
            check_order(ShoppingSettings(), items, False, NOON)


@pytest.mark.parametrize(
    "values",
    [
        {"orders": "pin"},
        {"pin_file": "x"},
        {"order_from": NOON},
        {"order_until": NOON},
    ],
)
def test_settings_that_make_no_sense(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="go"):
        ShoppingSettings(**values)
