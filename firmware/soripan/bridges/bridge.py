"""What a bridge is: one small class that answers one request at a time."""

from abc import ABC, abstractmethod
from typing import Annotated, Any

from msgspec import Meta

from soripan.config import Identifier, MqttSettings, Seconds, Table
from soripan.mqtt.messages import PropertyAction, Reply, Request


class BridgeSettings(Table, frozen=True):
    """The top of a bridge's file. Each bridge adds a table of its own, named as it is."""

    assistant: Identifier
    """The assistant it speaks for: the ``<assistant>`` of its topics."""
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4
    """Requests it works on at once. More wait at the broker."""
    deadline: Seconds = 7.0
    """Seconds it has for a request. A little less than ``[router] deadline`` of the panels."""
    state: str = ""
    """Folder for what must survive a power failure; empty: the systemd state directory, else
    ``~/.local/state/soripan-bridge-<assistant>``. Processes that share it never do anything twice;
    those on other machines rely on the assistant for that."""
    mqtt: MqttSettings = MqttSettings()


class Bridge(ABC):
    """Answers requests. Several threads may call :meth:`handle` at once."""

    @abstractmethod
    def handle(self, request: Request, deadline: float) -> Reply:
        """Do what is asked.

        Args:
            request: as the panel sent it. Its id is the same in every attempt: hand it on, as an
                idempotency key, to whoever might do things twice.
            deadline: seconds that are left.

        Raises:
            BridgeUnavailableError: the assistant cannot be reached, and has not done it.
            BridgeError: it could not be done; the message is for the log.
        """

    def close(self) -> None:  # noqa: B027  most have nothing to close
        """Let go of connections."""


def reply(request: Request, speech: str | None = None, **values: Any) -> Reply:
    """A reply to a request; ``ok`` unless ``status`` says otherwise."""
    values.setdefault("status", "ok")
    actions = [PropertyAction(**each) for each in values.pop("actions", [])]
    return Reply(schema="soripan.reply/1", id=request.id, speech=speech, actions=actions, **values)


def unsupported(request: Request) -> Reply:
    """What a bridge says of a request that is none of its business: the panel asks another one."""
    return reply(request, status="unsupported")
