"""An assistant that is none: a shop with stock and prices, a few answers, failures on demand.

For the demo and for tests, but with a real ledger: an order is carried out once, whatever happens.
"""

import os
import random
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta, field

from soripan.bridges.bridge import Bridge, BridgeSettings, reply, unsupported
from soripan.config import Probability, Table
from soripan.exc import BridgeError, StateError
from soripan.mqtt.messages import Item, Reply, Request

FILE: Final = "shop.db"
_MOST: Final = 100_000
"""Of one thing in one order."""


class Ware(Table, frozen=True):
    """Something that the shop sells."""

    price: Annotated[int, Meta(ge=0)]
    """Won for one of it."""
    stock: Annotated[int, Meta(ge=0)] = 1000


class Answer(Table, frozen=True):
    """What is said to a question."""

    about: list[str]
    """Words of which one is in the question."""
    ko: str
    en: str
    expect_answer: bool = False


def _wares() -> dict[str, Ware]:
    prices = {"우유": 2800, "계란": 7900, "두부": 1900, "김치": 9900, "쌀": 32000, "milk": 2800}
    return {name: Ware(price=price) for name, price in prices.items()}


def _answers() -> list[Answer]:
    return [
        Answer(
            about=["날씨", "weather"],
            ko="내일은 맑고 낮에는 십팔 도예요.",
            en="Tomorrow will be sunny, with eighteen degrees.",
        ),
        Answer(
            about=["음악", "노래", "music", "song"],
            ko="어떤 음악을 틀까요?",
            en="What music shall I play?",
            expect_answer=True,
        ),
    ]


class SimulatorSettings(Table, frozen=True):
    """``[simulator]``."""

    shop: bool = True
    """Whether it takes orders at all."""
    wares: dict[str, Ware] = field(default_factory=_wares)
    """What it sells, by name."""
    other: int = 5000
    """Won for anything else; 0: it sells nothing else."""
    answers: list[Answer] = field(default_factory=_answers)
    delay: Annotated[float, Meta(ge=0.0, le=60.0)] = 0.0
    """Seconds that it thinks."""
    fail: Probability = 0.0
    """How often it fails."""
    die: Probability = 0.0
    """How often the process ends between doing and replying."""
    seed: int = 0
    """Of its failures."""


class Settings(BridgeSettings, frozen=True):
    """``simulator.toml``."""

    simulator: SimulatorSettings = SimulatorSettings()


class Simulator(Bridge):
    """Pretends to be an assistant.

    Raises:
        StateError: its ledger cannot be opened.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings.simulator
        self._random = random.Random(self._settings.seed)  # noqa: S311  no secret
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._ledger = sqlite3.connect(
                folder / FILE, 5.0, isolation_level=None, check_same_thread=False
            )
            self._ledger.execute("PRAGMA journal_mode = WAL")
            self._ledger.execute("PRAGMA synchronous = FULL")
            self._ledger.execute(
                "CREATE TABLE IF NOT EXISTS bought"
                " (id TEXT, session TEXT, name TEXT, quantity INTEGER, PRIMARY KEY (id, name))"
            )
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"{folder / FILE}: cannot be opened: {error}") from error

    def handle(self, request: Request, deadline: float) -> Reply:
        """Sell, or answer."""
        time.sleep(min(self._settings.delay, deadline))
        if self._happens(self._settings.fail):
            raise BridgeError("it fails, as it was told to")
        answer = self._shop(request) if request.kind == "shopping" else self._talk(request)
        if self._happens(self._settings.die):
            os._exit(1)
        return answer

    def close(self) -> None:
        """Close the ledger."""
        with self._lock:
            self._ledger.close()

    def _happens(self, probability: float) -> bool:
        with self._lock:
            return self._random.random() < probability

    def _talk(self, request: Request) -> Reply:
        for answer in self._settings.answers:
            if any(word in request.text.casefold() for word in answer.about):
                speech = answer.ko if request.language == "ko" else answer.en
                return reply(request, speech, expect_answer=answer.expect_answer)
        korean = f"“{request.text}”, 그렇게 들었어요. 저는 연습용이라 아직 몰라요."
        english = f"You said “{request.text}”. I only pretend, so I do not know."
        return reply(request, korean if request.language == "ko" else english)

    def _shop(self, request: Request) -> Reply:
        items = request.items or []
        if not items or (request.intent == "ShoppingOrder" and not self._settings.shop):
            return unsupported(request)
        if request.intent != "ShoppingOrder":
            return reply(request)
        korean = request.language == "ko"
        total = 0
        for item in items:
            ware = self._ware(item)
            if not 1 <= item.quantity <= _MOST:
                speech = "그만큼은 팔 수 없어요." if korean else "That is not a quantity we sell."
                return reply(request, speech, status="failed")
            if ware is None:
                speech = (
                    f"{item.name} 상품은 팔지 않아요." if korean else f"We have no {item.name}."
                )
                return reply(request, speech, status="failed")
            total += ware.price * item.quantity
        missing = self._buy(request, items)
        if missing is not None:
            speech = f"{missing} 재고가 모자라요." if korean else f"{missing} is out of stock."
            return reply(request, speech, status="failed")
        speech = f"{total:,}원에 주문했어요." if korean else f"Ordered, for {total:,} won."
        return reply(request, speech)

    def _ware(self, item: Item) -> Ware | None:
        other = Ware(price=self._settings.other) if self._settings.other else None
        return self._settings.wares.get(item.name, other)

    def _buy(self, request: Request, items: list[Item]) -> str | None:
        """Write an order into the ledger, once; return what is out of stock, if anything is."""
        wanted: dict[str, int] = {}
        for item in items:
            wanted[item.name] = wanted.get(item.name, 0) + item.quantity
        with self._lock:
            self._ledger.execute("BEGIN IMMEDIATE")
            try:
                missing = self._missing(request, wanted)
                if missing is None:
                    self._ledger.executemany(
                        "INSERT OR IGNORE INTO bought VALUES (?, ?, ?, ?)",
                        [(request.id, request.session, n, q) for n, q in wanted.items()],
                    )
                self._ledger.execute("COMMIT")
            except BaseException as error:
                if self._ledger.in_transaction:
                    self._ledger.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise BridgeError(f"the ledger: {error}") from error
                raise
        return missing

    def _missing(self, request: Request, wanted: Mapping[str, int]) -> str | None:
        for name, quantity in wanted.items():
            (sold,) = self._ledger.execute(
                "SELECT coalesce(sum(quantity), 0) FROM bought WHERE name = ? AND id != ?",
                (name, request.id),
            ).fetchone()
            ware: Any = self._settings.wares.get(name)
            if ware is not None and sold + quantity > ware.stock:
                return name
        return None
