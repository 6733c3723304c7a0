"""Every error soripan raises on purpose.

All derive from :class:`SoripanError`, so one ``except`` catches them, and each also derives from
the builtin that fits, so code that knows nothing of soripan can handle it. The message is one line
that says what is wrong and what to do; ``exit_code`` is what the command line exits with (the
numbers are those of BSD's ``sysexits.h``).
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar


class SoripanError(Exception):
    """Base of all errors of this package."""

    exit_code: ClassVar[int] = 70  # EX_SOFTWARE


class ConfigError(SoripanError, ValueError):
    """A setting is unknown, of the wrong type or impossible."""

    exit_code = 78  # EX_CONFIG

    def __init__(self, path: Path | str, key: str, problem: str, remedy: str = "") -> None:
        self.path = Path(path)
        self.key = key
        where = f"{path}: {key}: " if key else f"{path}: "
        super().__init__(where + problem + (f" ({remedy})" if remedy else ""))


class TemplateError(SoripanError, ValueError):
    """A sentence template cannot be used: bad syntax, or a word nobody could recognise."""

    exit_code = 78  # EX_CONFIG

    def __init__(self, path: Path | str, line: int, problem: str) -> None:
        self.path = Path(path)
        self.line = line
        super().__init__(f"{path}:{line}: {problem}")


class ModelError(SoripanError, RuntimeError):
    """A model cannot be used."""

    exit_code = 69  # EX_UNAVAILABLE


class ModelMissingError(ModelError, FileNotFoundError):
    """A model is not on this machine."""


class ModelChecksumError(ModelError, ValueError):
    """A model file is not the one we know: its SHA-256 differs."""


class AudioError(SoripanError, OSError):
    """Sound cannot be taken in or played."""

    exit_code = 69  # EX_UNAVAILABLE


class AudioFileError(AudioError, ValueError):
    """A recording is missing, empty, truncated or no sound file at all."""

    exit_code = 66  # EX_NOINPUT


class MicrophoneError(AudioError):
    """There is no such microphone, or it stopped."""


class SpeechError(AudioError):
    """A sentence cannot be spoken."""


class RefusedError(SoripanError, ValueError):
    """Somebody asked for what cannot be.

    ``code`` is short and stable: it is the code of the error event and the key of the sentence that
    is spoken; ``values`` are what that sentence can say, such as the limits.
    """

    exit_code = 65  # EX_DATAERR

    def __init__(
        self, message: str, code: str, values: Mapping[str, str | int] = MappingProxyType({})
    ) -> None:
        self.code = code
        self.values = values
        super().__init__(message)


class ApplianceError(SoripanError):
    """An appliance cannot do what it was asked."""


class UnknownPropertyError(ApplianceError, LookupError):
    """The appliance has no such property."""


class PropertyValueError(ApplianceError, RefusedError):
    """The value is out of range, of the wrong kind, or the property cannot be set (now).

    ``values`` always names the ``property``; the appliances say what else is in it.
    """


class DriverError(ApplianceError, OSError):
    """The hardware behind an appliance did not answer."""

    exit_code = 69  # EX_UNAVAILABLE


class TimerError(RefusedError):
    """A timer cannot be started or found."""


class StateError(SoripanError, OSError):
    """What must survive a power failure cannot be kept."""

    exit_code = 74  # EX_IOERR


class BusyError(SoripanError, BlockingIOError):
    """Another soripan is working with the same state."""

    exit_code = 75  # EX_TEMPFAIL


class BrokerError(SoripanError, ConnectionError):
    """The MQTT broker cannot be reached, or refuses us."""

    exit_code = 69  # EX_UNAVAILABLE


class BridgeError(SoripanError, RuntimeError):
    """A bridge could not do what it was asked."""

    exit_code = 69  # EX_UNAVAILABLE


class BridgeUnavailableError(BridgeError, ConnectionError):
    """The assistant behind a bridge cannot be reached, and so has done nothing.

    ``retry_after`` are the seconds after which it wants to be asked again, if it said so.
    """

    retry_after: float | None = None


class BridgeUncertainError(BridgeError, ConnectionError):
    """The assistant behind a bridge was lost while it was at it: it may have done it or not."""


class BridgeTimeoutError(BridgeUncertainError, TimeoutError):
    """The assistant behind a bridge did not answer in time: it may have done it or not."""


class MessageError(SoripanError, ValueError):
    """A message that came in is not what the contract says."""

    exit_code = 65  # EX_DATAERR


class ToolMissingError(SoripanError, FileNotFoundError):
    """A program that is needed is not installed."""

    exit_code = 69  # EX_UNAVAILABLE
