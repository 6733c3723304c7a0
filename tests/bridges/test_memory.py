"""What was answered is known, also to others, also after a crash."""

from pathlib import Path

import pytest

from soripan.bridges import memory as memory_module
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


def test_one_that_waited_does_not_shorten_the_claim(tmp_path: Path) -> None:
    # What came twice waits for a worker, so less time is left for the second than for the first.
    memory = Memory(tmp_path)
    assert memory.claim("a", 12) is Claim.OURS
    assert memory.claim("a", 6) is Claim.BUSY


def test_who_is_back_goes_on_at_once(tmp_path: Path) -> None:
    first, second = Memory(tmp_path, owner="1"), Memory(tmp_path, owner="2")
    first.claim("a", 100)
    first.claim("b", 100)
    first.remember("b", b"reply")
    second.claim("c", 100)
    again = Memory(tmp_path, owner="1")  # it has died in between
    assert again.claim("a", 100) is Claim.OURS
    assert again.claim("b", 100) == b"reply"
    assert again.claim("c", 100) is Claim.BUSY


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


def test_of_too_many_the_oldest_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "MOST", 10)
    monkeypatch.setattr(memory_module, "_PRUNE", 2)
    now = [1000.0]
    memory = Memory(tmp_path, lambda: now[0])
    for number in range(21):
        now[0] += 1
        memory.claim(str(number), 10)
        memory.remember(str(number), b"reply")
    assert memory.claim("20", 10) == b"reply"
    assert memory.claim("0", 10) is Claim.OURS


def test_a_corrupt_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "requests.db").write_bytes(b"no database" * 1000)
    one, other = Memory(tmp_path), Memory(tmp_path)
    assert one.claim("a", 10) is Claim.OURS
    assert other.claim("a", 10) is Claim.BUSY
    assert len(list(tmp_path.glob("requests.corrupt-*"))) == 1
    assert "is corrupt, set aside" in caplog.text


def test_without_a_file_nothing_is_claimed(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.close()
    with pytest.raises(StateError, match=r"requests\.db"):
        memory.claim("a", 10)
    (tmp_path / "x").write_text("no folder")
    with pytest.raises(StateError, match="cannot be opened"):
        Memory(tmp_path / "x")
