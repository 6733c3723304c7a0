"""Brings requests to assistants: from the outbox over MQTT, and to the next one if need be.

An assistant that is not there, that does not answer in time or that cannot do such things is passed
over for the next. With one exception: shopping that may have reached an assistant stays with it
until that one says that it did not do it, because its silence does not tell whether it did, and
nothing may be bought twice. It is asked again and again, under the same id.
"""

import logging
import random
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from msgspec.structs import replace

from soripan.config import AssistantSettings, RouterSettings
from soripan.mqtt.client import Client, Receipt
from soripan.mqtt.messages import Reply, Request
from soripan.mqtt.outbox import Changed, Entry, NotWritten, Outbox, Purchase, Written

log = logging.getLogger(__name__)

SETTLE: Final = 1.0
"""Seconds after a connection in which the availability of the bridges comes in."""
STORE: Final = 5.0
"""Seconds that the disk has to take a request, before it is refused."""
LONGEST_PAUSE: Final = 300.0
"""Seconds between two attempts for the same shopping, at most."""
BURST: Final = 20
"""Requests published in one go: after an outage the pipeline must not fall behind."""
_PASSED: Final = 256
"""Ids of requests that somebody else got in the end, so that late replies are known as such."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request is on the disk, and will be sent."""

    entry: Entry
    there: bool
    """Whether its assistant is; else it is kept for later."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A request cannot be taken."""

    entry: Entry
    code: Literal["queue_full", "storage"]
    why: str


@dataclass(frozen=True, slots=True)
class PassedOn:
    """Somebody else is asked now."""

    entry: Entry
    before: str
    """The assistant that was asked before."""
    why: Literal["silent", "absent", "unsupported"]


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply came; the matter is closed."""

    entry: Entry
    reply: Reply


@dataclass(frozen=True, slots=True)
class Silent:
    """Shopping was sent and not answered in time; it is sent again until it is."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Dropped:
    """A question is given up."""

    entry: Entry
    code: Literal["expired", "nobody"]
    """``nobody``: no assistant is there; ``expired``: none answered in time."""


Outcome = Accepted | Refused | PassedOn | Answered | Silent | Dropped


@dataclass(slots=True)
class _Pending:
    """A request that is under way. Times are on the monotonic clock."""

    entry: Entry
    taken: float
    expires: float | None
    told: bool
    """Whether it has been reported as accepted."""
    written: bool = False
    """Whether the disk has it as it is here."""
    receipt: Receipt | None = None
    sent: float | None = None
    """When it was published with the present connection."""
    due: float = 0.0
    """When it is time for the next step after it was sent."""
    attempts: int = 0
    silent: bool = False
    """Whether its silence was told."""
    there: bool = field(default=False)
    """Whether its assistant was there when last seen."""

    @property
    def shopping(self) -> bool:
        return self.entry.request.kind == "shopping"


class Delivery:
    """All requests of a panel that are under way. One thread uses it, and never waits.

    Args:
        settings: preferences and deadlines.
        client: the way to the bridges.
        outbox: keeps the requests; what is in it is taken up again.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        settings: RouterSettings,
        client: Client,
        outbox: Outbox,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._client = client
        self._outbox = outbox
        self._clock = clock
        self._pending: dict[str, _Pending] = {}
        self._outcomes: list[Outcome] = []
        self._passed: OrderedDict[str, str] = OrderedDict()
        self._purchases: list[Purchase] = []
        self._connection = 0.0
        now, today = clock(), datetime.now(UTC)
        for entry in outbox.entries:
            left = None if entry.expires is None else (entry.expires - today).total_seconds()
            if left is not None and left > settings.expiry:
                left = 0.0  # the clock was set back: nobody knows how old it is
            expires = None if left is None else now + left
            self._pending[entry.key] = _Pending(entry, now, expires, told=True, written=True)

    @property
    def awaited(self) -> bool:
        """Whether anything is under way that may still be answered soon: not what is kept until an
        assistant turns up, nor what one is silent about."""
        return any(
            not each.silent and (each.entry.assigned or not each.shopping)
            for each in self._pending.values()
        )

    def purchases(self) -> list[Purchase]:
        """What has changed on the shopping list since the last call."""
        purchases, self._purchases = self._purchases, []
        return purchases

    @property
    def waiting(self) -> tuple[Entry, ...]:
        """What is under way, oldest first."""
        return tuple(each.entry for each in self._pending.values())

    def submit(self, request: Request, candidates: tuple[str, ...]) -> str:
        """Take a request; :class:`Accepted` or :class:`Refused` follows.

        Args:
            request: for the first of the candidates.
            candidates: who may be asked, in order of preference.

        Returns:
            Its key.
        """
        now = self._clock()
        expiry = None if request.kind == "shopping" else self._settings.expiry
        expires = None if expiry is None else datetime.now(UTC) + timedelta(seconds=expiry)
        entry = Entry(key=request.id, request=request, candidates=candidates, expires=expires)
        if len(self._pending) >= self._settings.outbox:
            self._outcomes.append(Refused(entry, "queue_full", "too many requests are under way"))
            return entry.key
        pending = _Pending(entry, now, None if expiry is None else now + expiry, told=False)
        self._pending[entry.key] = pending
        if (chosen := self._choose(candidates, now)) is not None:
            pending.entry = _assign(entry, chosen)
        elif self._none_left(pending, candidates, now):
            del self._pending[entry.key]
            self._outcomes.append(Dropped(entry, "nobody"))
            return entry.key
        self._outbox.put(pending.entry, self._note(_purchase(pending.entry)))
        return entry.key

    def stop(self) -> None:
        """Give up all questions: nobody wants the answers any more. Shopping is not touched."""
        for pending in list(self._pending.values()):
            if pending.told and not pending.shopping:
                self._close(pending)

    def take(self, reply: Reply) -> None:
        """Take the reply of a bridge."""
        if (passed := self._passed.get(reply.id)) is not None:
            log.info("%s: the reply of %s comes too late", reply.id, passed)
            return
        pending = next((p for p in self._pending.values() if p.entry.request.id == reply.id), None)
        if pending is None or not pending.entry.assigned:
            log.info("%s: a reply to nothing that was asked", reply.id)
            return
        now = self._clock()
        if reply.status == "unsupported" and self._pass_on(pending, "unsupported", now):
            return
        why = None if reply.status == "ok" else reply.speech or reply.status
        status: Literal["confirmed", "refused"] = "confirmed" if reply.status == "ok" else "refused"
        self._close(pending, _purchase(pending.entry, status, why))
        self._outcomes.append(Answered(pending.entry, reply))

    def poll(self) -> list[Outcome]:
        """Do what is due; return what came of it. To be called several times a second."""
        for outcome in self._outbox.poll():
            match outcome:
                case Written(entry):
                    self._written(entry)
                case NotWritten(key, error):
                    self._refuse(key, error)
                case Changed(entries, retried):
                    self._changed(entries, retried)
        now = self._clock()
        if self._client.connected and self._connection != self._client.since:
            self._connection = self._client.since
            for pending in self._pending.values():
                pending.sent = pending.receipt = None  # lost with the connection, for all we know
        burst = BURST
        for pending in list(self._pending.values()):
            burst -= self._step(pending, now, burst)
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    # Steps

    def _step(self, pending: _Pending, now: float, burst: int) -> bool:
        """Do what is due for one request; return whether it was published."""
        if pending.expires is not None and now >= pending.expires:
            self._drop(pending, "expired")
        elif not pending.written:
            if not pending.told and now - pending.taken > STORE:
                self._refuse(pending.entry.key, "the disk does not take it")
        elif not self._client.connected:
            pass
        elif not pending.entry.assigned:
            self._find(pending, now)
        elif pending.sent is None:
            return burst > 0 and self._send(pending, now)
        else:
            return self._await(pending, now, burst)
        return False

    def _find(self, pending: _Pending, now: float) -> None:
        """Choose who gets it, if anybody is there."""
        candidates = pending.entry.candidates
        if (chosen := self._choose(candidates, now)) is not None:
            self._rewrite(pending, _assign(pending.entry, chosen))
        elif self._none_left(pending, candidates, now):
            self._drop(pending, "nobody")

    def _send(self, pending: _Pending, now: float) -> bool:
        request = pending.entry.request
        deadline = self._deadline(request.assistant)
        expiry = None
        if pending.expires is not None:
            expiry = min(pending.expires - now, deadline)
        pending.attempts += 1
        attempt = replace(request, attempt=pending.attempts)
        pending.receipt = self._client.publish_request(attempt, expiry)
        if pending.receipt is None:
            pending.attempts -= 1
            return False
        pending.sent = now
        pending.due = now + deadline
        pending.there = self._is_there(request.assistant, now) is True
        return True

    def _await(self, pending: _Pending, now: float, burst: int) -> bool:
        """See whether a request that was sent needs anything; return whether it was published."""
        assistant = pending.entry.request.assistant
        there = self._is_there(assistant, now)
        if not self._of(assistant).reply:
            if pending.receipt is not None and pending.receipt.acknowledged:
                self._close(pending, _purchase(pending.entry, "sent"))
            return False
        if pending.shopping:
            came, pending.there = there is True and not pending.there, there is True
            if came and burst:
                return self._send(pending, now)
            if now >= pending.due and not pending.silent:
                pending.silent = True
                self._outcomes.append(Silent(pending.entry))
            if now >= pending.due and there is True and burst and self._send(pending, now):
                pending.due = now + self._pause(pending.attempts, assistant)
                return True
        elif there is False:
            if not self._pass_on(pending, "absent", now):
                self._drop(pending, "nobody")
        elif now >= pending.due:
            # Where nobody else is there, a late answer is better than none.
            self._pass_on(pending, "silent", now)
        return False

    def _pause(self, attempts: int, assistant: str) -> float:
        """Seconds until shopping is sent again: twice as long each time, and never in step."""
        pause = self._deadline(assistant) * 2.0 ** min(attempts, 16)
        return min(LONGEST_PAUSE, pause) * random.uniform(0.75, 1.0)  # noqa: S311 (no secret)

    def _pass_on(
        self, pending: _Pending, why: Literal["silent", "absent", "unsupported"], now: float
    ) -> bool:
        """Ask the next one; return False if there is none."""
        entry = pending.entry
        before = entry.request.assistant
        others = tuple(each for each in entry.candidates if each != before)
        chosen = self._choose(others, now)
        if chosen is None and not (pending.shopping and others):
            return False
        self._remember_passed(entry.request)
        rest = replace(
            entry, candidates=others, passed=(*entry.passed, entry.request.id), assigned=False
        )
        pending.attempts, pending.silent = 0, False
        self._rewrite(pending, rest if chosen is None else _assign(rest, chosen))
        if chosen is not None:
            self._outcomes.append(PassedOn(pending.entry, before, why))
        return True

    def _rewrite(self, pending: _Pending, entry: Entry) -> None:
        """Write down who gets it, before that one does."""
        pending.entry, pending.written = entry, False
        pending.sent = pending.receipt = None
        self._outbox.update(entry, self._note(_purchase(entry)))

    def _drop(self, pending: _Pending, code: Literal["expired", "nobody"]) -> None:
        self._close(pending)
        self._outcomes.append(Dropped(pending.entry, code))

    def _close(self, pending: _Pending, purchase: Purchase | None = None) -> None:
        del self._pending[pending.entry.key]
        self._remember_passed(pending.entry.request)
        self._outbox.delete(pending.entry.key, self._note(purchase))

    def _note(self, purchase: Purchase | None) -> Purchase | None:
        if purchase is not None:
            self._purchases.append(purchase)
        return purchase

    # What the outbox says

    def _written(self, entry: Entry) -> None:
        pending = self._pending.get(entry.key)
        if pending is None or pending.entry != entry:
            return
        pending.written = True
        if not pending.told:
            pending.told = True
            self._outcomes.append(Accepted(entry, entry.assigned))

    def _refuse(self, key: str, why: str) -> None:
        pending = self._pending.pop(key, None)
        if pending is not None:
            self._outbox.delete(key, self._note(_purchase(pending.entry, "refused", why)))
            self._outcomes.append(Refused(pending.entry, "storage", why))

    def _changed(self, entries: tuple[Entry, ...], retried: frozenset[str]) -> None:
        """Follow what somebody did to the outbox by hand."""
        there = {entry.key: entry for entry in entries}
        for key, pending in list(self._pending.items()):
            if key in retried:
                pending.entry, pending.written, pending.sent = there[key], True, None
                pending.attempts, pending.silent = 0, False
            elif key not in there and pending.written:
                log.info("%s: removed from the outbox by hand", key)
                self._note(_purchase(pending.entry, "refused", "removed by hand"))
                del self._pending[key]

    # Who

    def _choose(self, candidates: tuple[str, ...], now: float) -> str | None:
        """The first that is there; None as long as one that is preferred may still turn up."""
        if not self._client.connected:
            return None
        for each in candidates:
            match self._is_there(each, now):
                case True:
                    return each
                case None:
                    return None
        return None

    def _none_left(self, pending: _Pending, candidates: tuple[str, ...], now: float) -> bool:
        """Whether a question can be given up, because it is known that nobody is there."""
        absent = all(self._is_there(each, now) is False for each in candidates)
        return self._client.connected and absent and not pending.shopping

    def _is_there(self, assistant: str, now: float) -> bool | None:
        """Whether a bridge of an assistant is there; None: not known yet."""
        if not self._of(assistant).presence:
            return True
        known = self._client.bridge(assistant)
        if known is None and now - self._client.since >= SETTLE:
            return False
        return known

    def _of(self, assistant: str) -> AssistantSettings:
        return self._settings.assistants.get(assistant, AssistantSettings())

    def _deadline(self, assistant: str) -> float:
        return self._of(assistant).deadline or self._settings.deadline

    def _remember_passed(self, request: Request) -> None:
        self._passed[request.id] = request.assistant
        while len(self._passed) > _PASSED:
            self._passed.popitem(last=False)


def _assign(entry: Entry, assistant: str) -> Entry:
    """The entry when an assistant gets it. Each but the first gets an id of its own."""
    asked = bool(entry.passed)
    name = f"soripan:{entry.key}/{assistant}"
    request_id = str(uuid.uuid5(uuid.NAMESPACE_URL, name)) if asked else entry.key
    request = replace(entry.request, id=request_id, assistant=assistant, attempt=1)
    return replace(entry, request=request, assigned=True)


def _purchase(
    entry: Entry,
    status: Literal["kept", "sent", "confirmed", "refused"] | None = None,
    why: str | None = None,
) -> Purchase | None:
    """What the shopping list shall say of a request; None if it is no shopping."""
    request = entry.request
    if request.kind != "shopping" or not request.items:
        return None
    return Purchase(
        key=entry.key,
        items=request.items,
        order=request.intent == "ShoppingOrder",
        status=status or ("sent" if entry.assigned else "kept"),
        at=request.at,
        assistant=request.assistant if entry.assigned else None,
        why=why,
    )
