"""Requests on disk until they are answered, and what became of shopping.

One SQLite file, in WAL mode with ``synchronous=FULL``: what was committed is on the disk, whatever
happens then. An SD card can take a second for a commit, so a thread of its own does them, in order;
:meth:`Outbox.poll` tells what has been done. ``soripan outbox`` may change the file meanwhile.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from soripan.exc import StateError
from soripan.mqtt.messages import Item, Request, Timestamp

log = logging.getLogger(__name__)

T = TypeVar("T")

FILE: Final = "outbox.db"
"""In the state folder."""

PURCHASES: Final = 200
"""Entries of the shopping list that are kept, the newest."""

_WATCH: Final = 0.5
"""Seconds between looks whether somebody else changed the file."""
_BUSY: Final = 5.0
"""Seconds to wait for another process that is writing."""
_VERSION: Final = 1
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS request (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL,
    retry INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS purchase (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL);
PRAGMA user_version = {_VERSION};
"""


class Entry(Struct, frozen=True, kw_only=True):
    """A request that is under way, and who may get it."""

    key: str
    """Id of the request as it was first made. Each further assistant that is asked gets a request
    with an id of its own, so that it is always known whose reply has come."""
    request: Request
    """As its assistant gets it; not yet assigned, as the first candidate would."""
    candidates: tuple[str, ...]
    """Who may be asked, in order of preference; those that were passed over are gone."""
    assigned: bool = False
    """Whether it may have reached ``request.assistant``. Written down before it is published."""
    passed: tuple[str, ...] = ()
    """Ids with which others were asked before."""
    expires: Timestamp | None = None
    """When nobody wants the answer any more; None: never."""


class Purchase(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something to buy, and what became of it."""

    key: str
    """That of the request."""
    items: list[Item]
    order: bool
    """Whether it was ordered, and not only put on the list."""
    status: Literal["kept", "sent", "confirmed", "refused"]
    """``kept`` here, ``sent`` to an assistant, ``confirmed`` or ``refused`` by it."""
    at: Timestamp = field(default_factory=lambda: datetime.now(UTC))
    assistant: str | None = None
    why: str | None = None
    """Why it was refused, as the assistant said it."""


@dataclass(frozen=True, slots=True)
class Written:
    """An entry is on the disk as it is here."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A new entry could not be written (the disk is full?), and never will be."""

    key: str
    error: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Somebody else changed the file; what is in it now."""

    entries: tuple[Entry, ...]
    retried: frozenset[str]
    """Keys of those that shall be sent again at once."""


Outcome = Written | NotWritten | Changed


@dataclass(slots=True)
class _Change:
    """What shall become of a row. Later changes of the same row replace it while it waits."""

    entry: Entry | None
    """None: delete it."""
    purchase: Purchase | None
    new: bool


class Outbox:
    """The requests of one panel. Any thread may call it.

    Args:
        folder: the state folder; made if it is not there.
        retry: seconds until a change that could not be written is tried again.

    Raises:
        StateError: the file cannot be opened.
    """

    def __init__(self, folder: Path, retry: float = 5.0) -> None:
        self._file = folder / FILE
        self._retry = retry
        self._waiting: dict[str, _Change] = {}
        self._outcomes: deque[Outcome] = deque()
        self._condition = threading.Condition()
        self._closing = False
        self._failing = False
        self._retries: dict[str, int] = {}
        self.set_aside: Path | None = None
        """Where the file was moved to if it was corrupt."""
        self._database = self._open()
        self._version = self._data_version()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._entries = _entries(self._database)
        self._purchases = _purchases(self._database)
        self._thread.start()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What was in it at the start, oldest first."""
        return self._entries

    @property
    def purchases(self) -> tuple[Purchase, ...]:
        """The shopping list as it was at the start, oldest first."""
        return self._purchases

    def put(self, entry: Entry, purchase: Purchase | None = None) -> None:
        """Take a new entry; :class:`Written` or :class:`NotWritten` follows."""
        self._want(entry.key, _Change(entry, purchase, new=True))

    def update(self, entry: Entry, purchase: Purchase | None = None) -> None:
        """Change an entry; :class:`Written` follows, unless somebody removed it meanwhile."""
        self._want(entry.key, _Change(entry, purchase, new=False))

    def delete(self, key: str, purchase: Purchase | None = None) -> None:
        """Remove an entry, and say what became of the shopping in it."""
        self._want(key, _Change(None, purchase, new=False))

    def poll(self) -> list[Outcome]:
        """What has been done since the last call. Never waits."""
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all is on the disk; return whether it is."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._waiting, timeout)

    def close(self) -> None:
        """Write what waits, and stop."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(timeout=10.0)

    def _want(self, key: str, change: _Change) -> None:
        with self._condition:
            if (waiting := self._waiting.get(key)) is not None:
                change.new = change.new or waiting.new
                change.purchase = change.purchase or waiting.purchase
            self._waiting[key] = change
            self._condition.notify_all()

    # The thread

    def _run(self) -> None:
        with closing(self._database):
            while True:
                with self._condition:
                    self._condition.wait_for(lambda: self._waiting or self._closing, _WATCH)
                    waiting, stop = dict(self._waiting), self._closing
                failed = sum(not self._carry_out(key, change) for key, change in waiting.items())
                if stop:
                    return
                self._look()
                if failed:
                    with self._condition:
                        self._condition.wait_for(lambda: self._closing, self._retry)

    def _carry_out(self, key: str, change: _Change) -> bool:
        """Write one change; return False if it must be tried again."""
        try:
            there = self._write(key, change)
        except sqlite3.Error as error:
            if not self._failing:
                log.error("%s: cannot be written: %s", self._file, error)
            self._failing = True
            if not change.new:
                return False
            self._forget(key, change)
            self._outcomes.append(NotWritten(key, str(error)))
            return True
        if self._failing:
            log.warning("%s: can be written again", self._file)
        self._failing = False
        self._forget(key, change)
        if change.entry is not None and there:
            self._outcomes.append(Written(change.entry))
        return True

    def _forget(self, key: str, change: _Change) -> None:
        with self._condition:
            if (newer := self._waiting.get(key)) is change:
                del self._waiting[key]
            elif newer is not None:
                newer.new = False  # it was put with this change
            self._condition.notify_all()

    def _write(self, key: str, change: _Change) -> bool:
        """Write one change; return whether the entry is there then."""
        with _transaction(self._database):
            if change.purchase is not None:
                _write_purchase(self._database, change.purchase)
            if change.entry is None:
                self._database.execute("DELETE FROM request WHERE key = ?", (key,))
                return False
            body = msgspec.json.encode(change.entry)
            if change.new:
                self._database.execute("INSERT INTO request (key, body) VALUES (?, ?)", (key, body))
                return True
            updated = self._database.execute(
                "UPDATE request SET body = ? WHERE key = ?", (body, key)
            )
            return updated.rowcount > 0

    def _look(self) -> None:
        """See whether another process changed the file."""
        try:
            version = self._data_version()
            if version == self._version:
                return
            rows = self._database.execute("SELECT key, retry FROM request").fetchall()
            retried = {key for key, retry in rows if retry > self._retries.get(key, 0)}
            self._retries = {key: retry for key, retry in rows if retry}
            self._outcomes.append(Changed(_entries(self._database), frozenset(retried)))
            self._version = version
        except sqlite3.Error as error:
            log.warning("%s: cannot be read: %s", self._file, error)

    def _data_version(self) -> int:
        version: int = self._database.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _open(self) -> sqlite3.Connection:
        """Open the file; one that is corrupt is set aside, so that the panel can go on."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                return _connect(self._file)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise  # it cannot be had at all
                aside = self._file.with_suffix(f".corrupt-{int(time.time())}")
                log.error("%s: is corrupt, set aside as %s: %s", self._file, aside.name, error)
                self._file.replace(aside)
                for suffix in ("-wal", "-shm"):
                    self._file.with_name(FILE + suffix).unlink(missing_ok=True)
                self.set_aside = aside
                return _connect(self._file)
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"{self._file}: cannot be opened: {error}") from error


# For the command line, beside a panel that may be running


def read(folder: Path) -> tuple[tuple[Entry, ...], tuple[Purchase, ...]]:
    """The requests and the shopping list, oldest first.

    Raises:
        StateError: the file cannot be read.
    """
    with _opened(folder) as database:
        return _entries(database), _purchases(database)


def remove(folder: Path, keys: Sequence[str]) -> list[str]:
    """Remove requests; return the keys of those that were there.

    Raises:
        StateError: the file cannot be changed.
    """
    with _opened(folder) as database, _transaction(database):
        there = {entry.key for entry in _entries(database)}
        for key in keys:
            database.execute("DELETE FROM request WHERE key = ?", (key,))
        for purchase in _purchases(database):
            if purchase.key in keys and purchase.status in ("kept", "sent"):
                gone = msgspec.structs.replace(purchase, status="refused", why="removed by hand")
                _write_purchase(database, gone)
        return [key for key in keys if key in there]


def retry(folder: Path, keys: Sequence[str], assistant: str | None = None) -> list[str]:
    """Have requests sent again at once; return the keys of those that are there.

    Args:
        folder: the state folder.
        keys: which.
        assistant: whom to ask instead, even if somebody else may have done it already.

    Raises:
        StateError: the file cannot be changed.
    """
    with _opened(folder) as database, _transaction(database):
        entries = [entry for entry in _entries(database) if entry.key in keys]
        for entry in entries:
            chosen = entry if assistant is None else _for_another(entry, assistant)
            database.execute(
                "UPDATE request SET body = ?, retry = retry + 1 WHERE key = ?",
                (msgspec.json.encode(chosen), entry.key),
            )
        return [entry.key for entry in entries]


def _for_another(entry: Entry, assistant: str) -> Entry:
    others = tuple(each for each in entry.candidates if each != assistant)
    before = entry.request
    if before.assistant == assistant or not entry.assigned:
        return msgspec.structs.replace(entry, candidates=(assistant, *others))
    passed = (*entry.passed, before.id)
    return msgspec.structs.replace(
        entry, candidates=(assistant, *others), assigned=False, passed=passed
    )


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    file = folder / FILE
    if not file.exists():
        raise StateError(f"{file}: no such file (has the panel ever run with this config?)")
    try:
        with closing(_connect(file)) as database:
            yield database
    except sqlite3.Error as error:
        raise StateError(f"{file}: {error}") from error


def _connect(file: Path) -> sqlite3.Connection:
    # Autocommit; transactions are begun by hand. The thread closes what another has opened.
    database = sqlite3.connect(file, _BUSY, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StateError(f"{file}: was written by a newer soripan (update this one)")
        if version < _VERSION:  # else only to look at it would be a change
            database.executescript(_SCHEMA)
        (result,) = database.execute("PRAGMA quick_check").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(result)
        _entries(database)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _write_purchase(database: sqlite3.Connection, purchase: Purchase) -> None:
    database.execute(
        "INSERT INTO purchase (key, body) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET body = excluded.body",
        (purchase.key, msgspec.json.encode(purchase)),
    )
    database.execute(
        "DELETE FROM purchase WHERE number <= (SELECT max(number) FROM purchase) - ?", (PURCHASES,)
    )


def _entries(database: sqlite3.Connection) -> tuple[Entry, ...]:
    return tuple(_rows(database, "SELECT body FROM request ORDER BY number", Entry))


def _purchases(database: sqlite3.Connection) -> tuple[Purchase, ...]:
    return tuple(_rows(database, "SELECT body FROM purchase ORDER BY number", Purchase))


def _rows(database: sqlite3.Connection, query: str, kind: type[T]) -> Iterator[T]:
    for (body,) in database.execute(query):
        try:
            yield msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise sqlite3.DatabaseError(f"a row is not what it should be: {error}") from None
