"""Where frames come from."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from soripan.audio.frame import Frame


class Source(ABC):
    """Something that gives frames: a microphone or a recording. Used by one thread.

    ::

        with source:
            while not source.ended:
                if (frame := source.read(timeout=0.5)) is not None:
                    ...
    """

    @abstractmethod
    def open(self) -> None:
        """Begin. ``with`` does it.

        Raises:
            AudioError: it cannot.
        """

    @abstractmethod
    def close(self) -> None:
        """End, and give everything back. Closing twice does no harm."""

    @abstractmethod
    def read(self, timeout: float) -> Frame | None:
        """Return the next frame; None if there is none within ``timeout`` seconds.

        None says nothing about why: the microphone is muted or away for a while, or the recording
        is at its end, and then :attr:`ended` is true.

        Raises:
            AudioError: there will be no more frames, because something failed.
        """

    @property
    def ended(self) -> bool:
        """Whether all frames have been read. A microphone never ends."""
        return False

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
