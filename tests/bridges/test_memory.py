"""What was answered is known, also to others, also after a crash."""

from pathlib import Path

import pytest

from soripan.bridges.memory import KEEP, Claim, Memory
from soripan.exc import StateError


def test_an_id_is_claimed_once(tmp_path: Path) -> None:
    one, other = Memory(tmp_path), Memory(tmp_path)
    assert one.claim("a", 10) is Claim.OURS
    assert other.claim("a", 10) is Claim.BUSY
    one.remember("a", b"reply")
    assert other.claim("a", 10) == b"reply"
    assert Memory(tmp_path).claim("a", 10) == b"reply"


def test_a_claim_runs_out(tmp_path: Path) -> None:
    now = [1000.0]
    memory = Memory(tmp_path, lambda: now[0])
    memory.claim("a", 10)
    now[0] += 9
    assert memory.claim("a", 10) is Claim.BUSY
    now[0] += 2
    assert memory.claim("a", 10) is Claim.OURS
    now[0] -= 500  # the clock was set back: the claim is not for ever
    assert memory.claim("a", 10) is Claim.OURS


def test_a_claim_can_be_given_back(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.claim("a", 10)
    memory.release("a")
    assert memory.claim("a", 10) is Claim.OURS
    memory.remember("a", b"reply")
    memory.release("a")  # too late
    assert memory.claim("a", 10) == b"reply"


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    now = [1000.0]
    memory = Memory(tmp_path, lambda: now[0])
    memory.claim("a", 10)
    memory.remember("a", b"reply")
    now[0] += KEEP + 1
    again = Memory(tmp_path, lambda: now[0])
    again.claim("b", 10)
    assert again.claim("a", 10) is Claim.OURS


def test_without_a_file_nothing_is_claimed(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.close()
    with pytest.raises(StateError, match=r"requests\.db"):
        memory.claim("a", 10)
    (tmp_path / "x").write_text("no folder")
    with pytest.raises(StateError, match="cannot be opened"):
        Memory(tmp_path / "x")
    (tmp_path / "y").mkdir()
    (tmp_path / "y/requests.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match="cannot be opened"):
        Memory(tmp_path / "y")
