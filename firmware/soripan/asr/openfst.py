"""OpenFst's command-line tools (Debian's ``libfst-tools``, also in Raspberry Pi OS)."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from soripan.exc import ToolMissingError

_PLUGINS: Final = {
    "olabel_lookahead-fst.so": "libfstlookahead.so.*",
    "ngram-fst.so": "libfstngram.so.*",
}
"""OpenFst loads the code of a graph type by this name; Debian installs it under that one."""

_FOLDERS: Final = ("/usr/lib", "/usr/local/lib")


class OpenFst:
    """Runs the tools.

    Args:
        plugins: folder with the code of Vosk's graph types, from :func:`tools`.
    """

    def __init__(self, plugins: Path) -> None:
        self._environment = {**os.environ, "LD_LIBRARY_PATH": str(plugins)}

    def run(self, tool: str, *arguments: str | Path, stdout: Path | None = None) -> str:
        """Run a tool; return what it prints, unless that goes to a file.

        Raises:
            RuntimeError: it failed.
        """
        with stdout.open("wb") if stdout else tempfile.TemporaryFile() as output:
            process = subprocess.run(
                [tool, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                env=self._environment,
                check=False,
            )
            if process.returncode != 0 or b"ERROR" in process.stderr:
                raise RuntimeError(f"{tool}: {process.stderr.decode(errors='replace').strip()}")
            if stdout is not None:
                return ""
            output.seek(0)
            return output.read().decode()

    @contextmanager
    def lines(self, tool: str, *arguments: str | Path) -> Iterator[Iterator[bytes]]:
        """Read what a tool prints while it prints it.

        Raises:
            RuntimeError: it failed.
        """
        with subprocess.Popen(
            [tool, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=self._environment,
        ) as process:
            if process.stdout is None:  # never, with PIPE
                raise RuntimeError(tool)
            yield process.stdout
        if process.returncode != 0:
            raise RuntimeError(f"{tool}: exit status {process.returncode}")


@contextmanager
def tools() -> Iterator[OpenFst]:
    """The tools, ready for the graph types of Vosk models.

    Raises:
        ToolMissingError: they are not installed.
    """
    if shutil.which("fstcompose") is None:
        raise ToolMissingError("OpenFst is not installed: sudo apt-get install libfst-tools")
    with tempfile.TemporaryDirectory(prefix="soripan-fst-") as folder:
        for name, pattern in _PLUGINS.items():
            (Path(folder) / name).symlink_to(_find(pattern))
        yield OpenFst(Path(folder))


def _find(pattern: str) -> Path:
    candidates: Sequence[Path] = [
        path
        for folder in _FOLDERS
        for path in (*Path(folder).glob(pattern), *Path(folder).glob(f"*/{pattern}"))
    ]
    if not candidates:
        raise ToolMissingError(f"no {pattern} here: sudo apt-get install libfst-tools")
    return candidates[0]
