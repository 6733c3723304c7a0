"""One process at a time with the same state."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from soripan.exc import BusyError, StateError
from soripan.lock import exclusive

HOLD = """
import sys, time
from pathlib import Path
from soripan.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    state = tmp_path / "deep/state"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, state], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(BusyError, match=r"another soripan .*state.* --no-mqtt"),
            exclusive(state),
        ):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait(10)
        with exclusive(state):
            assert (state / "lock").exists()


def test_it_ends_with_the_block_however_that_ends(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path):
        raise ZeroDivisionError
    with exclusive(tmp_path), pytest.raises(BusyError), exclusive(tmp_path):
        pass
    with exclusive(tmp_path):
        pass


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cannot = pytest.raises(StateError, match="file/state: cannot be written to: Not a directory")
    with cannot, exclusive(tmp_path / "file/state"):
        pass
