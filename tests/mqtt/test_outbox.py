"""What is in the outbox stays there, whatever happens."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from soripan.exc import StateError
from soripan.mqtt import outbox
from soripan.mqtt.messages import Item, Request
from soripan.mqtt.outbox import (
    FILE,
    PURCHASES,
    Changed,
    Entry,
    NotWritten,
    Outbox,
    Purchase,
    Written,
)

MakeRequest = Callable[..., Request]
Open = Callable[..., Outbox]


@pytest.fixture
def open_outbox(tmp_path: Path) -> Iterator[Open]:
    opened: list[Outbox] = []

    def make(**values: Any) -> Outbox:
        opened.append(Outbox(tmp_path, **values))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def entry(make_request: MakeRequest) -> Callable[[str], Entry]:
    at = datetime.now(UTC)

    def make(key: str) -> Entry:
        request = make_request(id=key, kind="shopping", at=at)
        return Entry(key=key, request=request, candidates=("alexa", "google"))

    return make


def purchase(key: str, **values: Any) -> Purchase:
    defaults: dict[str, Any] = {
        "key": key,
        "items": [Item(name="우유", quantity=1)],
        "order": True,
        "status": "kept",
    }
    return Purchase(**defaults | values)


def wait(box: Outbox, count: int = 1) -> list[outbox.Outcome]:
    """Poll until so many outcomes have come."""
    outcomes: list[outbox.Outcome] = []
    deadline = time.monotonic() + 10
    while len(outcomes) < count:
        assert time.monotonic() < deadline, outcomes
        outcomes += box.poll()
        time.sleep(0.01)
    return outcomes


def test_what_was_written_is_there_again_in_order(
    open_outbox: Open, entry: Callable[[str], Entry], tmp_path: Path
) -> None:
    box = open_outbox()
    for key in "cab":
        box.put(entry(key), purchase(key))
    assert wait(box, 3) == [Written(entry(key)) for key in "cab"]
    # As after a power failure: the file is read while the first still has it open.
    entries, purchases = outbox.read(tmp_path)
    assert [each.key for each in entries] == ["c", "a", "b"]
    assert [each.key for each in purchases] == ["c", "a", "b"]
    box.close()
    again = open_outbox()
    assert again.entries == entries
    assert again.purchases == purchases


def test_it_is_forced_onto_the_disk(open_outbox: Open, tmp_path: Path) -> None:
    box = open_outbox()
    assert box._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert box._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_changing_and_deleting(
    open_outbox: Open, entry: Callable[[str], Entry], tmp_path: Path
) -> None:
    box = open_outbox()
    box.put(entry("a"), purchase("a"))
    wait(box)
    assigned = msgspec.structs.replace(entry("a"), assigned=True)
    box.update(assigned, purchase("a", status="sent"))
    assert wait(box) == [Written(assigned)]
    assert outbox.read(tmp_path)[0] == (assigned,)
    box.delete("a", purchase("a", status="confirmed"))
    assert box.flush()
    entries, (bought,) = outbox.read(tmp_path)
    assert (entries, bought.status) == ((), "confirmed")


def test_a_deletion_overtakes_what_was_not_written_yet(
    open_outbox: Open, entry: Callable[[str], Entry], tmp_path: Path
) -> None:
    box = open_outbox()
    for number in range(50):
        box.put(entry(str(number)))
        box.delete(str(number))
    assert box.flush()
    assert outbox.read(tmp_path)[0] == ()


def test_a_full_disk_refuses_what_is_new_and_keeps_what_it_has(
    open_outbox: Open, make_request: MakeRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = open_outbox(retry=0.2)
    (pages,) = box._database.execute("PRAGMA page_count").fetchone()
    box._database.execute(f"PRAGMA max_page_count = {pages + 10}")
    outcomes: list[outbox.Outcome] = []
    for number in range(100):
        request = make_request(id=str(number), text="x" * 1000)
        box.put(Entry(key=str(number), request=request, candidates=("alexa",)))
        outcomes += wait(box)
    written = [each.entry.key for each in outcomes if isinstance(each, Written)]
    refused = [each for each in outcomes if isinstance(each, NotWritten)]
    assert written
    assert refused
    assert "full" in refused[0].error
    assert [each.key for each in outbox.read(tmp_path)[0]] == written
    assert caplog.text.count("cannot be written") == 1
    for key in written:
        box.delete(key)
    assert box.flush()
    box.put(Entry(key="later", request=make_request(), candidates=("alexa",)))
    assert isinstance(wait(box)[-1], Written)


@pytest.mark.parametrize("damage", [b"no database at all" * 500, b""], ids=["garbage", "empty"])
def test_a_file_that_is_corrupt_is_set_aside(
    open_outbox: Open, entry: Callable[[str], Entry], tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / FILE).write_bytes(damage)
    box = open_outbox()
    assert box.entries == ()
    if damage:
        assert box.set_aside is not None
        assert box.set_aside.read_bytes() == damage
    box.put(entry("a"))
    assert wait(box) == [Written(entry("a"))]


def test_a_row_that_makes_no_sense_is_corruption_too(open_outbox: Open, tmp_path: Path) -> None:
    open_outbox().close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("INSERT INTO request (key, body) VALUES ('a', '{}')")
    assert open_outbox().set_aside is not None


def test_a_file_of_a_newer_version_is_left_alone(open_outbox: Open, tmp_path: Path) -> None:
    open_outbox().close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="newer soripan"):
        open_outbox()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be opened"):
        Outbox(tmp_path / "file")
    with pytest.raises(StateError, match="no such file"):
        outbox.read(tmp_path)


def test_what_somebody_removes_or_retries_is_noticed(
    open_outbox: Open, entry: Callable[[str], Entry], tmp_path: Path
) -> None:
    box = open_outbox()
    for key in "ab":
        box.put(entry(key), purchase(key))
    wait(box, 2)
    assert outbox.remove(tmp_path, ["a", "x"]) == ["a"]
    (change,) = wait(box)
    assert isinstance(change, Changed)
    assert [each.key for each in change.entries] == ["b"]
    assert change.retried == frozenset()
    assert outbox.retry(tmp_path, ["b"], "google") == ["b"]
    (change,) = wait(box)
    assert isinstance(change, Changed)
    assert change.retried == {"b"}
    assert change.entries[0].candidates == ("google", "alexa")
    gone = next(each for each in outbox.read(tmp_path)[1] if each.key == "a")
    assert (gone.status, gone.why) == ("refused", "removed by hand")
    # What was removed does not come back with a change that was under way.
    box.update(entry("a"))
    assert box.flush()
    assert [each.key for each in outbox.read(tmp_path)[0]] == ["b"]


def test_somebody_else_is_not_asked_under_the_same_id(
    open_outbox: Open, entry: Callable[[str], Entry], tmp_path: Path
) -> None:
    box = open_outbox()
    box.put(msgspec.structs.replace(entry("a"), assigned=True))
    wait(box)
    outbox.retry(tmp_path, ["a"], "google")
    (change,) = wait(box)
    assert isinstance(change, Changed)
    assert change.entries[0].passed == ("a",)
    assert not change.entries[0].assigned


def test_the_shopping_list_does_not_grow_for_ever(
    open_outbox: Open, entry: Callable[[str], Entry], tmp_path: Path
) -> None:
    box = open_outbox()
    for number in range(PURCHASES + 20):
        box.put(entry(str(number)), purchase(str(number)))
        box.delete(str(number))
    assert box.flush(60)
    box.put(entry("last"), purchase("last"))
    assert box.flush()
    _, purchases = outbox.read(tmp_path)
    assert len(purchases) <= PURCHASES
    assert purchases[-1].key == "last"
