"""What must survive a power failure: small values, one JSON file each.

A file is always whole. A new one is written beside the old, forced onto the disk and moved into its
place, so whatever happens there is the one or the other. An SD card can take a second for that, so
a thread of its own does it: :meth:`Store.save` only puts the value down. Of values saved faster
than they can be written only the newest is, so what waits is bounded by the number of names.
"""

import logging
import os
import re
import threading
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from soripan.exc import StateError

log = logging.getLogger(__name__)

T = TypeVar("T")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


class Store:
    """The files of one folder. Any thread may use it; only one process at a time.

    Args:
        folder: where they are; made if it is not there.
        retry: seconds until something that could not be written (disk full) is tried again.

    Raises:
        StateError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, retry: float = 10.0) -> None:
        self._folder = folder
        self._retry = retry
        self._waiting: dict[str, bytes] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._failing = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{folder}: cannot be made: {error.strerror}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StateError(f"{folder}: cannot be written to (whose is it?)")
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def load(self, name: str, kind: type[T]) -> T | None:
        """The value last saved under a name, or None.

        A file that does not hold a ``kind`` is set aside as ``<name>.corrupt``, logged, and counts
        as absent; so does one that cannot be read, which stays where it is.

        Args:
            name: lower-case letters, digits, ``-`` and ``_``.
            kind: the type that msgspec shall make of the JSON.
        """
        file = self._file(name)
        with self._changed:
            data = self._waiting.get(name)
        try:
            return msgspec.json.decode(data or file.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("%s: cannot be read, defaults are used: %s", file, error)
        except msgspec.DecodeError as error:
            log.error("%s: is corrupt, set aside, defaults are used: %s", file, error)
            self._set_aside(file)
        return None

    def save(self, name: str, value: Any) -> None:
        """Keep a value; returns at once, the disk has it soon after.

        Args:
            name: lower-case letters, digits, ``-`` and ``_``.
            value: anything that msgspec can turn into JSON. Later changes to it do not matter.
        """
        self._file(name)
        data = msgspec.json.encode(value)
        with self._changed:
            self._waiting[name] = data
            self._changed.notify_all()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was saved is on the disk; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def close(self) -> None:
        """Write what waits and stop. What is saved after this is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                closing = self._closing
                batch = dict(self._waiting)
            written = self._write(batch)
            with self._changed:
                if written:
                    for name, data in batch.items():
                        if self._waiting[name] is data:  # else there is a newer value by now
                            del self._waiting[name]
                    self._changed.notify_all()
                if closing:
                    return
                if not written:
                    self._changed.wait_for(lambda: self._closing, self._retry)

    def _write(self, batch: dict[str, bytes]) -> bool:
        """Write values to disk; return whether all of them are there now."""
        try:
            for name, data in batch.items():
                self._write_one(name, data)
            _sync_folder(self._folder)
        except OSError as error:
            if not self._failing:
                log.error("%s: cannot be written, trying on: %s", self._folder, error)
            self._failing = True
            return False
        if self._failing:
            log.warning("%s: can be written again", self._folder)
        self._failing = False
        return True

    def _write_one(self, name: str, data: bytes) -> None:
        temporary = self._folder / f".{name}.tmp"
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._file(name))

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a file in {self._folder}")
        return self._folder / f"{name}.json"

    def _set_aside(self, file: Path) -> None:
        try:
            file.replace(file.with_suffix(".corrupt"))
        except OSError as error:
            log.error("%s: cannot be set aside: %s", file, error)


def _sync_folder(folder: Path) -> None:
    """Force the names of the files in a folder onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
