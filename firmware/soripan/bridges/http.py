"""HTTP as all bridges use it: bounded in time and size, with errors that say what happened."""

import ssl
from pathlib import Path
from typing import Any, Final

import httpx

from soripan.exc import (
    BridgeError,
    BridgeTimeoutError,
    BridgeUnavailableError,
    ConfigError,
)

LARGEST: Final = 256 * 1024
"""Bytes of an answer that are read."""
_BUSY: Final = {429, 502, 503, 504}
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
    return httpx.Client(verify=context, follow_redirects=False, trust_env=False, **options)


def post(client: httpx.Client, url: str, deadline: float, **content: Any) -> Any:
    """POST, and return the JSON of the answer.

    Args:
        client: from :func:`open_client`.
        url: where to.
        deadline: seconds for each of connecting, sending and receiving.
        content: ``json``, or ``content`` and ``headers``.

    Raises:
        BridgeUnavailableError: nobody is there, or says that it is busy: nothing was done.
        BridgeTimeoutError: no answer in time: nobody knows what was done.
        BridgeError: an answer that says no, or is none.
    """
    body = bytearray()
    try:
        with client.stream("POST", url, timeout=deadline, **content) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise BridgeError(f"{url}: the answer is larger than {LARGEST} bytes")
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise BridgeUnavailableError(f"{url}: {error}") from None
    except httpx.TimeoutException:
        raise BridgeTimeoutError(f"{url}: no answer within {deadline:.1f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BridgeError(f"{url}: {error or type(error).__name__}") from None
    if response.status_code in _BUSY:
        raise BridgeUnavailableError(f"{url}: {response.status_code} {response.reason_phrase}")
    if not response.is_success:
        remedy = ": check the token" if response.status_code in (401, 403) else ""
        raise BridgeError(f"{url}: {response.status_code} {response.reason_phrase}{remedy}")
    try:
        return httpx.Response(200, content=bytes(body)).json() if body else None
    except ValueError:
        raise BridgeError(f"{url}: the answer is not JSON") from None
