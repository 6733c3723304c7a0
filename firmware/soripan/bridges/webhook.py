"""Your own skill or shop: each request is POSTed to it, signed.

The body is the request as on MQTT (``config/asyncapi.yaml``). Headers:

- ``Idempotency-Key``: the request's id, the same in every attempt. Do nothing twice for it.
- ``X-Soripan-Timestamp``: Unix time of this attempt. Refuse what is older than five minutes.
- ``X-Soripan-Signature``: ``sha256=`` and the hexadecimal HMAC-SHA256, under the shared secret, of
  the timestamp, a full stop and the body. Compare it in constant time::

      expected = hmac.new(secret, timestamp + b"." + body, "sha256").hexdigest()
      good = hmac.compare_digest(f"sha256={expected}", signature)

The answer, with a status of 2xx, is JSON: ``status`` (``ok``, ``failed`` or ``unsupported``; ``ok``
if left out), ``speech``, ``display``, ``expect_answer``, ``actions``, all of them optional. With a
status of 429 or 5xx it is asked again, after what ``Retry-After`` says if that is in the answer.
"""

import hmac
import random
import time
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from soripan.bridges.bridge import Bridge, BridgeSettings
from soripan.bridges.http import open_client, post
from soripan.config import Table
from soripan.exc import (
    BridgeError,
    BridgeTimeoutError,
    BridgeUnavailableError,
    BridgeUncertainError,
)
from soripan.mqtt.messages import PropertyAction, Reply, Request, encode
from soripan.secret import read_secret

_BUSY: Final = frozenset({429, *range(500, 600)})
"""Statuses after which it is asked again: with the key, that is safe even if it was done."""
_FIRST_PAUSE: Final = 0.25
"""Seconds before the second attempt; twice as long before each further one."""


class WebhookSettings(Table, frozen=True):
    """``[webhook]``."""

    url: Annotated[str, Meta(pattern=r"^https?://\S+$")] = "https://example.com/soripan"
    secret_file: str = "webhook-secret"  # noqa: S105  its name
    """File with the shared secret, or the name of a systemd credential."""
    attempts: Annotated[int, Meta(ge=1, le=10)] = 4
    """How often it is tried before the panel is told, within the deadline."""
    ca_file: str = ""
    """Certificate authority to trust; empty: those of the system."""


class Settings(BridgeSettings, frozen=True):
    """``webhook.toml``."""

    webhook: WebhookSettings = WebhookSettings()


class _Answer(Struct):
    status: Literal["ok", "failed", "unsupported"] = "ok"
    speech: str | None = None
    display: str | None = None
    expect_answer: bool = False
    actions: list[PropertyAction] = []


class Webhook(Bridge):
    """Hands requests to a web server.

    Raises:
        ConfigError: the secret cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.webhook
        self._secret = read_secret(self._settings.secret_file, "webhook.secret_file").encode()
        self._http = open_client(self._settings.ca_file)

    def handle(self, request: Request, deadline: float) -> Reply:
        """POST it, again if the server is not there or busy. With its key that is safe."""
        until = time.monotonic() + deadline
        body = encode(request)
        pause = _FIRST_PAUSE
        for attempt in range(1, self._settings.attempts + 1):
            left = max(until - time.monotonic(), 0.1)
            try:
                return self._read(request, self._post(request, body, left))
            except BridgeUnavailableError as error:
                jitter = random.uniform(0.5, 1.0)  # noqa: S311  no secret
                wait = max(pause * jitter, error.retry_after or 0.0)
                if attempt == self._settings.attempts or time.monotonic() + wait + 0.1 > until:
                    raise
                time.sleep(wait)
                pause *= 2
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, request: Request, body: bytes, deadline: float) -> Any:
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": request.id,
            "X-Soripan-Timestamp": timestamp,
            "X-Soripan-Signature": sign(self._secret, timestamp, body),
        }
        try:
            return post(
                self._http, self._settings.url, deadline, _BUSY, content=body, headers=headers
            )
        except BridgeUncertainError as error:
            if request.kind != "shopping" and isinstance(error, BridgeTimeoutError):
                raise
            # It may have been done. Asked again under the same key, the server will say.
            raise BridgeUnavailableError(str(error)) from None

    def _read(self, request: Request, answer: Any) -> Reply:
        try:
            said = msgspec.convert(answer or {}, _Answer)
        except msgspec.ValidationError as error:
            raise BridgeError(f"{self._settings.url}: the answer is wrong: {error}") from None
        return Reply(
            schema="soripan.reply/1",
            id=request.id,
            status=said.status,
            speech=said.speech,
            display=said.display,
            expect_answer=said.expect_answer,
            actions=said.actions,
        )


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """The signature of a body at a time."""
    digest = hmac.new(secret, timestamp.encode() + b"." + body, "sha256").hexdigest()
    return f"sha256={digest}"
