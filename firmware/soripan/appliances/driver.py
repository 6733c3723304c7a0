"""What an appliance needs of its hardware."""

from abc import ABC, abstractmethod


class Driver(ABC):
    """The hardware of one appliance. Values are texts, as on the MQTT state topics.

    Only the pipeline's thread calls a driver. One whose inputs arrive on another thread keeps them
    until :meth:`poll`: of each property only the newest value, so that nothing piles up.
    """

    @abstractmethod
    def write(self, name: str, value: str) -> None:
        """Give a property a value. One that the hardware does not have is ignored.

        Raises:
            DriverError: the hardware did not take it.
        """

    def poll(self) -> list[tuple[str, str]]:
        """The properties that the hardware itself changed since the last poll, with their values.

        The first poll gives every input. Never waits.

        Raises:
            DriverError: the hardware did not answer.
        """
        return []

    @abstractmethod
    def close(self) -> None:
        """Let the hardware go."""
