"""The panel's own shopping list, and the rules of ordering."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from soripan.config import ShoppingSettings
from soripan.dialog.responses import Responses
from soripan.exc import RefusedError
from soripan.mqtt.outbox import PURCHASES, Purchase

SPOKEN: Final = 12
"""Things that are read aloud at most."""
PUBLISHED: Final = 50
"""Entries that are published at most, the newest."""


class ShoppingList:
    """What shall be bought, and what became of it.

    Args:
        purchases: as the outbox has them.
        days: after which an entry is forgotten.
    """

    def __init__(self, purchases: Iterable[Purchase], days: int) -> None:
        self._purchases = {each.key: each for each in purchases}
        self._age = datetime.timedelta(days=days)

    def note(self, purchase: Purchase) -> None:
        """Take in what became of a request."""
        self._purchases[purchase.key] = purchase
        while len(self._purchases) > PURCHASES:
            del self._purchases[next(iter(self._purchases))]

    def current(self, now: datetime.datetime | None = None) -> list[Purchase]:
        """The entries that are not too old, oldest first."""
        oldest = (now or datetime.datetime.now(datetime.UTC)) - self._age
        self._purchases = {k: each for k, each in self._purchases.items() if each.at >= oldest}
        return list(self._purchases.values())

    def published(self) -> str:
        """The list as it is published: a JSON array, oldest first."""
        return msgspec.json.encode(self.current()[-PUBLISHED:]).decode()

    def spoken(self, responses: Responses) -> str:
        """The list as it is read aloud: what is on it, what was ordered, what was refused."""
        entries = self.current()
        wanted = [each for each in entries if not each.order and each.status != "refused"]
        ordered = [each for each in entries if each.order and each.status != "refused"]
        kept = [each for each in ordered if each.status == "kept"]
        said = []
        for key, chosen in (
            ("shopping_list", wanted),
            ("shopping_ordered", [each for each in ordered if each not in kept]),
            ("shopping_kept", kept),
        ):
            if chosen:
                said.append(responses.text(key, items=_items(chosen, responses)))
        return " ".join(said) or responses.text("shopping_list_empty")


def check_order(
    settings: ShoppingSettings,
    items: Iterable[Mapping[str, Any]],
    tv_plays: bool,
    now: datetime.time,
) -> None:
    """See whether an order may be made at all.

    Args:
        settings: the rules.
        items: as in the slot ``items``.
        tv_plays: whether a TV of this panel can be heard.
        now: the local time of day.

    Raises:
        RefusedError: it may not; its code is the key of the sentence to say.
    """
    if settings.orders == "off":
        raise RefusedError("orders are switched off: [shopping] orders", "orders_off")
    first, last = settings.order_from, settings.order_until
    if first is not None and last is not None:
        inside = first <= now < last if first <= last else now >= first or now < last
        if not inside:
            hours = {"first": f"{first:%H:%M}", "last": f"{last:%H:%M}"}
            raise RefusedError(f"orders are taken from {first} to {last}", "order_hours", hours)
    if tv_plays and settings.orders != "pin" and not settings.while_tv_plays:
        raise RefusedError("a TV is on, and could be what orders", "order_tv")
    most = settings.max_quantity
    if any(item.get("quantity", 1) > most for item in items):
        raise RefusedError(f"more than {most} at once", "too_many", {"limit": most})


def _items(purchases: Iterable[Purchase], responses: Responses) -> str:
    items = [msgspec.to_builtins(item) for each in purchases for item in each.items]
    return responses.items(items[-SPOKEN:])
