"""What is on the wire: requests, replies and events as JSON. ``config/asyncapi.yaml`` has examples.

What comes in is checked against the types below. Fields that are not known are passed over, so that
a newer bridge can say more to an older panel.
"""

import dataclasses
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from soripan.events import Event
from soripan.exc import MessageError

MAX_PAYLOAD: Final = 64 * 1024
"""Bytes. A payload that comes in and is larger is not looked at."""

M = TypeVar("M", bound=Struct)

Timestamp = Annotated[datetime, Meta(tz=True)]
"""An instant with its time zone; RFC 3339 on the wire."""


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something on a shopping list."""

    name: str
    quantity: int
    unit: str | None = None


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the panel asks a bridge. What is None is left out of the JSON."""

    # omit_defaults leaves out plain defaults, but never what a factory made.
    schema: Literal["soripan.request/1"] = field(default_factory=lambda: "soripan.request/1")
    id: Annotated[str, Meta(pattern=r"^[!-~]{1,64}$")] = field(
        default_factory=lambda: str(uuid.uuid4())
    )
    """A UUID; the same in every attempt."""
    at: Timestamp = field(default_factory=lambda: datetime.now(UTC))
    """When it was said. Must be UTC."""
    panel: str
    appliance: str
    """The appliance in front of which it was said."""
    language: str
    assistant: str
    """Who is asked."""
    kind: Literal["unresolved", "shopping", "directed"]
    text: str
    """What was said."""
    confidence: Annotated[float, Meta(ge=0.0, le=1.0)]
    intent: str | None = None
    items: list[Item] | None = None
    session: str
    attempt: Annotated[int, Meta(ge=1)]
    reply_to: str
    """The topic to answer on, for clients that cannot read MQTT 5 properties."""

    def __post_init__(self) -> None:
        if self.at.utcoffset():
            raise ValueError(f"“at” must be UTC: {self.at}")


class PropertyAction(Struct, frozen=True, kw_only=True):
    """A property that a bridge wants set."""

    appliance: str
    property: str
    value: str


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bridge answers."""

    schema: Literal["soripan.reply/1"]
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    """The request's."""
    status: Literal["ok", "failed", "unsupported"]
    speech: str | None = None
    """What the panel shall say."""
    display: str | None = None
    """What it shall show; None: the same as it says."""
    expect_answer: bool = False
    """Whether the panel shall listen again."""
    actions: list[PropertyAction] = []


def _plain(value: Any) -> Any:
    """What msgspec cannot encode by itself: mappings that are not a dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no place in JSON")


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)
_reply_decoder: Final = msgspec.json.Decoder(Reply)
_request_decoder: Final = msgspec.json.Decoder(Request)


def encode(message: Request | Reply) -> bytes:
    """The JSON of a request or a reply."""
    return _encoder.encode(message)


def decode_reply(payload: bytes) -> Reply:
    """Read a reply.

    Raises:
        MessageError: it is too large, not UTF-8, not JSON, nested too deeply or not a reply.
    """
    return _decode(payload, _reply_decoder, "reply")


def decode_request(payload: bytes) -> Request:
    """Read a request.

    Raises:
        MessageError: it is too large, not UTF-8, not JSON, nested too deeply or not a request.
    """
    return _decode(payload, _request_decoder, "request")


def _decode(payload: bytes, decoder: msgspec.json.Decoder[M], what: str) -> M:
    if len(payload) > MAX_PAYLOAD:
        raise MessageError(f"{what} has {len(payload)} bytes, {MAX_PAYLOAD} are allowed")
    try:
        # msgspec does not check the encoding of fields that it passes over.
        return decoder.decode(str(payload, "utf-8"))
    except RecursionError:
        raise MessageError(f"{what} is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise MessageError(f"{what} is not UTF-8: {error.reason}") from None
    except msgspec.MsgspecError as error:
        raise MessageError(f"{what} is wrong: {error}") from None


def encode_event(event: Event, at: datetime) -> bytes:
    """The JSON of an event: its attributes, without those that are None, and when it was."""
    attributes = {
        attribute.name: value
        for attribute in dataclasses.fields(event)
        if (value := getattr(event, attribute.name)) is not None
    }
    return _encoder.encode({"at": at, **attributes})
