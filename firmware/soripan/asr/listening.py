"""Keeping the listening graph up to date: built when it is first needed, and after every change."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from soripan.asr import graph
from soripan.asr.graph import Progress
from soripan.asr.lexicon import Lexicon
from soripan.asr.profiles import Profile
from soripan.exc import ModelError, SoripanError
from soripan.nlu.grammar import Grammar

KEPT: Final = 6
"""How many graphs are kept, those last used: commands and phrases of each language, and some to go
back to."""

_VERSION: Final = b"4"
"""Changes when the same input would make another graph."""


def listening_model(
    stock: Path,
    grammar: Grammar,
    profile: Profile,
    folder: Path,
    progress: Progress,
    check: Callable[[Lexicon], None] = lambda _: None,
) -> Path:
    """The Vosk model with the listening graph of a grammar; built if it is not there.

    It is built aside and renamed when it is whole, so a crash leaves no half of it. The oldest
    graphs are removed.

    Args:
        stock: folder of the Vosk model it is made from.
        grammar: the commands.
        profile: how large it is.
        folder: where listening graphs are kept.
        progress: told what is being done, if anything is.
        check: if it is built, given the model's lexicon; raises if that lacks something.

    Raises:
        ToolMissingError: OpenFst is not installed.
        ModelError: it could not be built: no space, or no dynamic graph in the stock model.
    """
    target = graph_folder(stock, grammar, profile, folder)
    if target.is_dir():
        with contextlib.suppress(OSError):  # somebody else's folder, perhaps
            os.utime(target)  # so that it is not the oldest
        return target
    if not (stock / "graph/HCLr.fst").is_file() or not (stock / "graph/Gr.fst").is_file():
        raise ModelError(
            f"{stock}: has no dynamic graph (HCLr.fst, Gr.fst) to make a listening graph from "
            '(use another model, or set [asr] graph = "stock")'
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if not target.is_dir():
                _build(stock, grammar, profile, target, progress, check)
    except SoripanError:
        raise  # some of these are an OSError or a RuntimeError too
    except (OSError, RuntimeError) as error:
        raise ModelError(f"the listening graph cannot be built in {folder}: {error}") from error
    return target


def graph_folder(stock: Path, grammar: Grammar, profile: Profile, folder: Path) -> Path:
    """Where the listening graph of a model and a grammar is, or will be; its name is a hash of
    everything that it depends on."""
    digest = hashlib.sha256(_VERSION)
    digest.update(repr(profile).encode())
    for name in ("graph/HCLr.fst", "graph/Gr.fst", "am/final.mdl"):
        # Size and time instead of the content: that is a quarter of a gigabyte at each start, and
        # `soripan models verify` reads it.
        try:
            status = (stock / name).stat()
        except FileNotFoundError:
            continue  # the builder says what is missing
        digest.update(f"{stock.name} {name} {status.st_size} {status.st_mtime_ns}".encode())
    digest.update("\n".join(grammar.examples).encode())
    digest.update(repr((grammar.numbers, grammar.corrections)).encode())
    for arcs in grammar.arcs:
        for arc in arcs:
            kind = arc.mark.kind.name if arc.mark else ""
            digest.update(f"{arc.target} {arc.text} {arc.any_letter} {kind}\n".encode())
        digest.update(b".")
    digest.update(repr(sorted(grammar.finals)).encode())
    return folder / digest.hexdigest()[:16]


def _build(
    stock: Path,
    grammar: Grammar,
    profile: Profile,
    target: Path,
    progress: Progress,
    check: Callable[[Lexicon], None],
) -> None:
    aside = target.with_name("building")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        graph.build(stock, grammar, profile, aside, progress, check)
        for path in (aside / "graph").iterdir():
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    graphs = sorted(
        (path for path in target.parent.iterdir() if path.is_dir()),
        key=lambda path: path.stat().st_mtime,
    )
    for old in graphs[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process builds here."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
