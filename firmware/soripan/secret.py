"""Passwords, tokens and PINs: never in the config, always in files of their own."""

import os
from pathlib import Path

from soripan.exc import ConfigError


def read_secret(name: str, key: str) -> str:
    """The first line of a file, or of the systemd credential of that name.

    Args:
        name: of the file, or of the credential.
        key: the setting that names it, for errors.

    Raises:
        ConfigError: it cannot be read, or there is nothing in it.
    """
    path = Path(name).expanduser()
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and "/" not in name:
        path = Path(credentials) / name
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(path, key, f"cannot be read: {problem}", "check name and owner") from None
    secret = lines[0].strip() if lines else ""
    if not secret:
        raise ConfigError(path, key, "has no first line", "put the secret there, alone")
    return secret
