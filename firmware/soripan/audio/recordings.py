"""Keeping what was said, for finding faults; only where ``[privacy] keep_audio`` is set."""

import logging
import queue
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import soundfile

from soripan.audio.frame import SAMPLE_RATE, Samples

log = logging.getLogger(__name__)

KEPT: Final = 200
"""How many recordings are kept; the oldest goes when another comes."""

WAITING: Final = 4
"""How many may wait to be written; more are dropped and logged."""


class Recordings:
    """Writes utterances to a folder as FLAC, in a thread of its own.

    Args:
        folder: made when the first one is written; only its owner may look into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._queue: queue.Queue[tuple[str, Samples] | None] = queue.Queue(WAITING)
        self._worker = threading.Thread(target=self._work, name="recordings", daemon=True)
        self._worker.start()

    def keep(self, session: str, samples: Samples) -> None:
        """Write an utterance when there is time; never waits."""
        try:
            self._queue.put_nowait((session, samples))
        except queue.Full:
            log.warning("an utterance is not kept: %d others wait to be written", WAITING)

    def close(self) -> None:
        """Write what is waiting."""
        self._queue.put(None)
        self._worker.join()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            session, samples = job
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{session}.flac"
                soundfile.write(self._folder / name, samples, SAMPLE_RATE)
                for old in sorted(self._folder.glob("*.flac"))[:-KEPT]:
                    old.unlink()
            except (OSError, RuntimeError) as error:  # libsndfile's errors are RuntimeErrors
                log.warning("an utterance could not be kept: %s", error)
