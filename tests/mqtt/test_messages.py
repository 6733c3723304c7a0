import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from soripan.events import Action, IntentReady, TimerDone
from soripan.exc import MessageError
from soripan.mqtt.messages import (
    MAX_PAYLOAD,
    Item,
    PropertyAction,
    Reply,
    Request,
    decode_reply,
    encode,
    encode_event,
)

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REPLY: dict[str, Any] = {
    "schema": "soripan.reply/1",
    "id": "6a3bb2b6",
    "status": "ok",
    "speech": "네.",
    "display": "네",
    "expect_answer": True,
    "actions": [{"appliance": "tv", "property": "power", "value": "on"}],
}


def test_a_request_has_the_fields_of_the_contract(make_request: Callable[..., Request]) -> None:
    items = [Item(name="우유", quantity=2), Item(name="바나나", quantity=1, unit="송이")]
    request = make_request(id="a", at=NOON, kind="shopping", intent="ShoppingOrder", items=items)
    assert json.loads(encode(request)) == {
        "schema": "soripan.request/1",
        "id": "a",
        "at": "2026-03-01T12:00:00Z",
        "panel": "kitchen",
        "appliance": "fridge",
        "language": "ko",
        "assistant": "alexa",
        "kind": "shopping",
        "text": "내일 날씨 어때",
        "confidence": 0.9,
        "intent": "ShoppingOrder",
        "items": [
            {"name": "우유", "quantity": 2},
            {"name": "바나나", "quantity": 1, "unit": "송이"},
        ],
        "session": "5f0c2a9d1b7e",
        "attempt": 1,
        "reply_to": "soripan/kitchen/reply",
    }


def test_what_a_request_does_not_know_it_leaves_out(make_request: Callable[..., Request]) -> None:
    assert {"intent", "items"}.isdisjoint(json.loads(encode(make_request())))


def test_requests_have_ids_of_their_own(make_request: Callable[..., Request]) -> None:
    assert make_request().id != make_request().id


def test_a_request_must_be_in_utc(make_request: Callable[..., Request]) -> None:
    with pytest.raises(ValueError, match="UTC"):
        make_request(at=NOON.astimezone(timezone(timedelta(hours=9))))


def test_a_full_reply_is_read() -> None:
    reply = decode_reply(json.dumps(REPLY).encode())
    assert reply == Reply(
        schema="soripan.reply/1",
        id="6a3bb2b6",
        status="ok",
        speech="네.",
        display="네",
        expect_answer=True,
        actions=[PropertyAction(appliance="tv", property="power", value="on")],
    )


def test_the_smallest_reply_is_read() -> None:
    reply = decode_reply(b'{"schema":"soripan.reply/1","id":"a","status":"unsupported"}')
    assert (reply.speech, reply.display, reply.expect_answer, reply.actions) == (
        None,
        None,
        False,
        [],
    )


def test_a_newer_bridge_may_say_more() -> None:
    assert decode_reply(json.dumps(REPLY | {"mood": [1, {}]}).encode()).id == "6a3bb2b6"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "soripan.reply/2"},
        {"schema": None},
        {"id": ""},
        {"id": 7},
        {"id": "x" * 65},
        {"status": "OK"},
        {"status": True},
        {"speech": 5},
        {"expect_answer": "yes"},
        {"actions": {}},
        {"actions": [{"appliance": "tv", "property": "volume", "value": 5}]},
        {"actions": [{"appliance": "tv", "property": "volume"}]},
    ],
    ids=str,
)
def test_a_wrong_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="reply is wrong"):
        decode_reply(json.dumps(REPLY | change).encode())


@pytest.mark.parametrize("missing", ["schema", "id", "status"])
def test_a_missing_field_is_refused(missing: str) -> None:
    fields = {name: value for name, value in REPLY.items() if name != missing}
    with pytest.raises(MessageError, match=missing):
        decode_reply(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "wrong"),
        (b"null", "wrong"),
        (b"[]", "wrong"),
        (b'{"id": "a"', "wrong"),
        (b"\xef\xbb\xbf{}", "wrong"),
        (b'{"note": "\xff", "schema": "soripan.reply/1", "id": "a", "status": "ok"}', "not UTF-8"),
        (b'{"schema": "soripan.reply/1", "id": "\\ud800", "status": "ok"}', "wrong"),
        (b'{"note": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "too deeply"),
        (b'{"actions": ' + b"[" * 60_000, "wrong|too deeply"),
        (b" " * (MAX_PAYLOAD + 1), "bytes"),
    ],
    ids=lambda value: str(value[:30]),
)
def test_what_is_no_reply_is_refused(payload: bytes, problem: str) -> None:
    with pytest.raises(MessageError, match=problem):
        decode_reply(payload)


def test_the_largest_payload_is_read() -> None:
    payload = json.dumps(REPLY).encode()
    assert decode_reply(payload.ljust(MAX_PAYLOAD)).status == "ok"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
almost_replies = st.fixed_dictionaries(
    {}, optional={name: st.just(value) | json_values for name, value in REPLY.items()}
)


@settings(deadline=None)
@given(
    st.binary()
    | st.text().map(str.encode)
    | json_values.map(lambda value: json.dumps(value).encode())
    | almost_replies.map(lambda value: json.dumps(value).encode())
)
@example(json.dumps(REPLY).encode())
def test_any_bytes_are_a_reply_or_a_message_error(payload: bytes) -> None:
    try:
        reply = decode_reply(payload)
    except MessageError:
        return
    # What was taken is of the right types all through, so it is the same after another round.
    assert decode_reply(encode(reply)) == reply


@settings(deadline=None)
@given(
    st.binary(min_size=1, max_size=4),
    st.integers(min_value=0, max_value=len(json.dumps(REPLY)) - 1),
)
def test_a_damaged_reply_is_a_reply_or_a_message_error(damage: bytes, where: int) -> None:
    payload = json.dumps(REPLY).encode()
    damaged = payload[:where] + damage + payload[where + len(damage) :]
    with contextlib.suppress(MessageError):
        assert isinstance(decode_reply(damaged), Reply)


def test_an_event_has_its_time_and_no_nulls() -> None:
    event = TimerDone(name=None, seconds=180, speech="끝났어요.")
    assert json.loads(encode_event(event, NOON)) == {
        "at": "2026-03-01T12:00:00Z",
        "seconds": 180,
        "speech": "끝났어요.",
    }


def test_what_an_event_holds_stays_as_it_is() -> None:
    slots = MappingProxyType({"items": [{"name": "우유", "quantity": 2}]})
    event = IntentReady(session="s", text="우유 두 개", intent="ShoppingAdd", slots=slots)
    assert json.loads(encode_event(event, NOON))["slots"] == dict(slots)
    assert json.loads(encode_event(Action(intent="GetTime", speech="정오"), NOON))["changes"] == {}


def test_an_event_with_something_that_is_no_json_is_a_bug() -> None:
    event = IntentReady(text="", intent="", slots={"what": object()})
    with pytest.raises((NotImplementedError, msgspec.MsgspecError)):
        encode_event(event, NOON)
