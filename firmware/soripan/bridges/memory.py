"""Remembers which requests were answered, and how, so that none is carried out twice.

Delivery is at least once: the panel sends a request again, under the same id, until it has a reply.
A bridge claims an id before it does anything, and remembers the reply before it sends it. So of a
crash

- before the claim, nothing is left, and the request is done when it comes again;
- after the reply was remembered, only the reply is sent again;
- in between, nobody can tell whether the assistant has done it. When the claim has run out, or the
  process that made it is back, the request is handed to the assistant once more, with its id: what
  must not happen twice needs an assistant that looks at that (``Idempotency-Key`` of the webhook,
  the ledger of the simulator).

SQLite, so that several processes on one machine can share it. Whatever is written outlives the
process; what is ``durable`` is also forced onto the disk, and outlives a power failure.
"""

import fcntl
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final

from soripan.exc import StateError

log = logging.getLogger(__name__)

FILE: Final = "requests.db"
KEEP: Final = 30 * 24 * 3600.0
"""Seconds for which replies are remembered: longer than any panel is without a network."""
MOST: Final = 100_000
"""Replies that are remembered, the newest: some 50 MB."""
_PRUNE: Final = 1000
"""Claims between two prunings."""
_SET_BACK: Final = 60.0
"""Seconds. A claim that is as far in the future was made before the clock was set back; without
this it would hold until the clock is there again."""


class Claim(Enum):
    """What has become of the wish to work on a request."""

    OURS = auto()
    BUSY = auto()
    """Somebody else is at it."""


class Memory:
    """What a bridge has answered. Any thread may use it.

    A file that is corrupt is set aside and logged: the bridge goes on, and what must not happen
    twice is up to the assistant, as after a crash.

    Args:
        folder: where its file is; made if it is not there.
        clock: seconds since the epoch, as all processes know them.
        owner: name of this process. What one of the same name had claimed is free at once, so only
            one may have it at a time. Empty: none.

    Raises:
        StateError: the file cannot be opened.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.time, owner: str = ""
    ) -> None:
        self._file = folder / FILE
        self._clock = clock
        self._owner = owner
        self._lock = threading.Lock()
        self._claims = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Of several processes that find the file corrupt, one sets it aside.
            with (folder / f"{FILE}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._database = self._open()
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"{self._file}: cannot be opened: {error}") from error
        if owner:
            with self._transaction(False) as database:
                database.execute("DELETE FROM claim WHERE owner = ? AND reply IS NULL", (owner,))

    def claim(self, request_id: str, lease: float, durable: bool = True) -> Claim | bytes:
        """Begin to work on a request.

        Args:
            request_id: the request's.
            lease: seconds after which somebody else may have it, if we are not done.
            durable: whether that must outlive a power failure.

        Returns:
            The reply, if it was answered before.

        Raises:
            StateError: that cannot be written down, so the work must not begin.
        """
        now = self._clock()
        with self._transaction(durable) as database:
            row = database.execute(
                "SELECT at, until, reply FROM claim WHERE id = ?", (request_id,)
            ).fetchone()
            if row is not None:
                at, until, reply = row
                if reply is not None:
                    return bytes(reply)
                if at - _SET_BACK <= now < until:
                    return Claim.BUSY
            database.execute(
                "INSERT OR REPLACE INTO claim (id, owner, at, until) VALUES (?, ?, ?, ?)",
                (request_id, self._owner, now, now + lease),
            )
            self._claims += 1
            if self._claims % _PRUNE == 1:
                self._prune(database, now)
        return Claim.OURS

    def remember(self, request_id: str, reply: bytes, durable: bool = True) -> None:
        """Keep the reply to a request.

        Args:
            request_id: the request's.
            reply: as it is sent.
            durable: whether it must outlive a power failure.

        Raises:
            StateError: it cannot be written down.
        """
        with self._transaction(durable) as database:
            database.execute("UPDATE claim SET reply = ? WHERE id = ?", (reply, request_id))

    def release(self, request_id: str) -> None:
        """Give a claim back, because nothing was done.

        Raises:
            StateError: that cannot be written down.
        """
        with self._transaction(False) as database:
            database.execute("DELETE FROM claim WHERE id = ? AND reply IS NULL", (request_id,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self._file)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # it cannot be had at all
            aside = self._file.with_suffix(f".corrupt-{int(time.time())}")
            log.error(
                "%s: is corrupt, set aside as %s; what was answered before is forgotten: %s",
                self._file,
                aside.name,
                error,
            )
            self._file.replace(aside)
            for suffix in ("-wal", "-shm"):
                self._file.with_name(FILE + suffix).unlink(missing_ok=True)
            return _connect(self._file)

    def _prune(self, database: sqlite3.Connection, now: float) -> None:
        database.execute("DELETE FROM claim WHERE at < ?", (now - KEEP,))
        database.execute(
            "DELETE FROM claim WHERE reply IS NOT NULL AND id NOT IN"
            " (SELECT id FROM claim ORDER BY at DESC LIMIT ?)",
            (MOST,),
        )

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise StateError(f"{self._file}: {error}") from error
                raise


def _connect(file: Path) -> sqlite3.Connection:
    # Autocommit; transactions are begun by hand.
    database = sqlite3.connect(file, 5.0, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        (result,) = database.execute("PRAGMA quick_check").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(result)
        database.execute(
            "CREATE TABLE IF NOT EXISTS claim (id TEXT PRIMARY KEY, owner TEXT NOT NULL,"
            " at REAL NOT NULL, until REAL NOT NULL, reply BLOB)"
        )
        database.execute("CREATE INDEX IF NOT EXISTS claim_at ON claim (at)")
    except BaseException:
        database.close()
        raise
    return database
