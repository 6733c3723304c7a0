"""One process at a time with the same state."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from soripan.exc import BusyError, StateError


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder; the lock goes with the process, however that ends.

    Raises:
        BusyError: another process holds it.
        StateError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise StateError(f"{folder}: cannot be written to: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"another soripan is running with the state in {folder} "
                "(stop it, or try things beside it with --no-mqtt)"
            ) from None
        yield
