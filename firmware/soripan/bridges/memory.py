"""Remembers which requests were answered, and how, so that none is carried out twice.

Delivery is at least once: the panel sends a request again, under the same id, until it has a reply.
A bridge claims an id before it does anything, and remembers the reply before it sends it. So of a
crash

- before the claim, nothing is left, and the request is done when it comes again;
- after the reply was remembered, only the reply is sent again;
- in between, nobody can tell whether the assistant has done it. When the claim has run out, the
  request is handed to the assistant once more, with its id: what must not happen twice needs an
  assistant that looks at that (``Idempotency-Key`` of the webhook, the ledger of the simulator).

SQLite, so that several processes on one machine can share it. Whatever is written outlives the
process; what is ``durable`` is also forced onto the disk, and outlives a power failure.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final

from soripan.exc import StateError

FILE: Final = "requests.db"
KEEP: Final = 30 * 24 * 3600.0
"""Seconds for which replies are remembered: longer than any panel is without a network."""
_PRUNE: Final = 1000
"""Claims between two prunings."""


class Claim(Enum):
    """What has become of the wish to work on a request."""

    OURS = auto()
    BUSY = auto()
    """Somebody else is at it."""


class Memory:
    """What a bridge has answered. Any thread may use it.

    Args:
        folder: where its file is; made if it is not there.
        clock: seconds since the epoch, as all processes know them.

    Raises:
        StateError: the file cannot be opened, or is corrupt.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = folder / FILE
        self._clock = clock
        self._lock = threading.Lock()
        self._claims = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                self._file, 5.0, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS request"
                " (id TEXT PRIMARY KEY, until REAL NOT NULL, at REAL NOT NULL, reply BLOB)"
            )
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"{self._file}: cannot be opened: {error}") from error

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
                "SELECT until, reply FROM request WHERE id = ?", (request_id,)
            ).fetchone()
            if row is not None and row[1] is not None:
                return bytes(row[1])
            if row is not None and now < row[0] <= now + lease:
                return Claim.BUSY
            database.execute(
                "INSERT INTO request (id, until, at) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET until = excluded.until",
                (request_id, now + lease, now),
            )
            self._claims += 1
            if self._claims % _PRUNE == 1:
                database.execute("DELETE FROM request WHERE at < ?", (now - KEEP,))
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
            database.execute("UPDATE request SET reply = ? WHERE id = ?", (reply, request_id))

    def release(self, request_id: str) -> None:
        """Give a claim back, because nothing was done.

        Raises:
            StateError: that cannot be written down.
        """
        with self._transaction(False) as database:
            database.execute("DELETE FROM request WHERE id = ? AND reply IS NULL", (request_id,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise StateError(f"{self._file}: {error}") from error
