"""HTTP as all bridges use it: bounded in time and size, with errors that say what happened."""

import email.utils
import ssl
import time
from pathlib import Path
from typing import Any, Final

import httpx

from soripan.exc import (
    BridgeError,
    BridgeTimeoutError,
    BridgeUnavailableError,
    BridgeUncertainError,
    ConfigError,
)

LARGEST: Final = 256 * 1024
"""Bytes of an answer that are read."""
BUSY: Final = frozenset({429, 502, 503, 504})
"""Statuses with which a server says that it has not done it, and that it may later."""


def open_client(ca_file: str = "", **options: Any) -> httpx.Client:
    """A client that checks certificates, follows no redirects and ignores proxies of the shell.

    Args:
        ca_file: certificate authority to trust; empty: those of the system.
        options: of :class:`httpx.Client`.

    Raises:
        ConfigError: the file is no certificate.
    """
    try:
        path = str(Path(ca_file).expanduser()) if ca_file else None
        context = ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ConfigError(
            ca_file, "ca_file", f"cannot be used: {error}", "name a PEM file"
        ) from None
    # Not compressed, so that a small answer cannot become a large one.
    options["headers"] = {"Accept-Encoding": "identity", **options.get("headers", {})}
    return httpx.Client(verify=context, follow_redirects=False, trust_env=False, **options)


def post(
    client: httpx.Client,
    url: str,
    deadline: float,
    busy: frozenset[int] = BUSY,
    **content: Any,
) -> Any:
    """POST, and return the JSON of the answer.

    Args:
        client: from :func:`open_client`.
        url: where to.
        deadline: seconds for each of connecting, sending and receiving.
        busy: statuses with which it may be asked again.
        content: ``json``, or ``content`` and ``headers``.

    Raises:
        BridgeUnavailableError: nobody is there, or says that it is busy: nothing was done.
        BridgeTimeoutError: no answer in time: nobody knows what was done.
        BridgeUncertainError: the connection was lost before the answer: likewise.
        BridgeError: an answer that says no, or is none.
    """
    response, body = _exchange(client, url, deadline, content)
    if response.status_code in busy:
        refused = BridgeUnavailableError(f"{url}: {response.status_code} {response.reason_phrase}")
        refused.retry_after = _seconds(response.headers.get("Retry-After", ""))
        raise refused
    if not response.is_success:
        remedy = ": check the token" if response.status_code in (401, 403) else ""
        raise BridgeError(f"{url}: {response.status_code} {response.reason_phrase}{remedy}")
    try:
        return httpx.Response(200, content=body).json() if body else None
    except (ValueError, RecursionError):
        raise BridgeError(f"{url}: the answer is not JSON") from None


def _exchange(
    client: httpx.Client, url: str, deadline: float, content: dict[str, Any]
) -> tuple[httpx.Response, bytes]:
    """POST, and read the whole answer, whatever its status."""
    body = bytearray()
    until = time.monotonic() + 2 * deadline
    try:
        with client.stream("POST", url, timeout=deadline, **content) as response:
            for chunk in response.iter_raw():
                body += chunk
                if time.monotonic() > until:  # it trickles
                    raise BridgeTimeoutError(f"{url}: no answer within {deadline:.1f} s")
                if len(body) > LARGEST:
                    raise BridgeError(f"{url}: the answer is larger than {LARGEST} bytes")
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise BridgeUnavailableError(f"{url}: {error}") from None
    except httpx.TimeoutException:
        raise BridgeTimeoutError(f"{url}: no answer within {deadline:.1f} s") from None
    except httpx.TransportError as error:
        raise BridgeUncertainError(f"{url}: {error or type(error).__name__}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BridgeError(f"{url}: {error or type(error).__name__}") from None
    return response, bytes(body)


def _seconds(retry_after: str) -> float | None:
    """What a ``Retry-After`` says (RFC 9110, 10.2.3): seconds, or a date; None: nothing."""
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        then = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, then.timestamp() - time.time())
