"""``config/asyncapi.yaml`` is valid, and says what the code does."""

import dataclasses
import inspect
import json
import re
import shutil
import subprocess
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator

from soripan import events
from soripan.bridges.metrics import Metrics
from soripan.config import MqttSettings
from soripan.mqtt.client import SESSION_EXPIRY
from soripan.mqtt.connection import MAX_PACKET
from soripan.mqtt.messages import (
    Item,
    PropertyAction,
    Reply,
    Request,
    decode_reply,
    encode,
    encode_event,
)
from soripan.mqtt.topics import BridgeTopics, Topics

TESTS = Path(__file__).parents[1]
FILE = TESTS.parent / "config" / "asyncapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
EVENT_CLASSES = [
    each
    for _, each in inspect.getmembers(events, inspect.isclass)
    if issubclass(each, events.Event) and each.topic is not None
]
JSON_TYPES = {str: "string", float: "number", int: "integer", bool: "boolean", Mapping: "object"}


def look_up(node: Any) -> Any:
    """Follow ``$ref`` within the document."""
    while isinstance(node, dict) and "$ref" in node:
        reference, node = node["$ref"], DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    return node


def check(value: object, schema: Any) -> None:
    """Raise jsonschema.ValidationError if ``value`` is not as ``schema``, a part of the document.

    AsyncAPI's schemas are a superset of JSON Schema draft 7.
    """
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    Draft7Validator(whole, format_checker=Draft7Validator.FORMAT_CHECKER).validate(value)


def payload_schema(channel: str, message: str) -> Any:
    return look_up(DOCUMENT["channels"][channel]["messages"][message])["payload"]


# The document itself


@pytest.fixture(scope="module")
def node_modules() -> None:
    """AsyncAPI's parser, fetched from npm at the first run."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed: sudo apt-get install nodejs npm")
    lock = json.loads((TESTS / "package-lock.json").read_text())
    package = TESTS / "node_modules/@asyncapi/parser/package.json"
    pinned = lock["packages"]["node_modules/@asyncapi/parser"]["version"]
    if not package.exists() or json.loads(package.read_text())["version"] != pinned:
        npm = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        subprocess.run(npm, cwd=TESTS, check=True, timeout=300)


def diagnose(path: Path) -> dict[str, Any]:
    script = TESTS / "mqtt/asyncapi.mjs"
    run = subprocess.run(
        ["node", str(script), str(path)], check=True, capture_output=True, timeout=120
    )
    result: dict[str, Any] = json.loads(run.stdout)
    return result


@pytest.mark.usefixtures("node_modules")
def test_the_document_is_valid() -> None:
    result = diagnose(FILE)
    information = 2  # severities: error, warning, information, hint
    assert result["valid"]
    assert [each for each in result["diagnostics"] if each["severity"] < information] == []


@pytest.mark.usefixtures("node_modules")
def test_a_wrong_document_is_found_out(tmp_path: Path) -> None:
    broken = tmp_path / "asyncapi.yaml"
    broken.write_text(FILE.read_text(encoding="utf-8").replace("action: send", "action: sing"))
    assert not diagnose(broken)["valid"]


def examples() -> Iterator[Any]:
    for name, message in DOCUMENT["components"]["messages"].items():
        assert message["examples"], f"{name} has no example"
        for number, example in enumerate(message["examples"]):
            yield pytest.param(message, example, id=f"{name}-{example.get('name', number)}")


@pytest.mark.parametrize(("message", "example"), list(examples()))
def test_the_examples_are_as_their_schemas(message: Any, example: Any) -> None:
    check(example["payload"], message["payload"])


def test_no_message_is_left_over() -> None:
    used = {
        message["$ref"].rsplit("/", 1)[-1]
        for channel in DOCUMENT["channels"].values()
        for message in channel["messages"].values()
    }
    assert used == set(DOCUMENT["components"]["messages"])


def test_the_schemas_can_refuse() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check({"at": "yesterday", "muted": True}, payload_schema("event", "mute"))
    with pytest.raises(jsonschema.ValidationError):
        check({"at": "2026-03-01T12:00:00Z"}, payload_schema("event", "mute"))


# Topics and connection


def test_the_addresses_are_our_topics() -> None:
    topics = Topics("soripan", "{panel}")
    addresses = {name: channel["address"] for name, channel in DOCUMENT["channels"].items()}
    assert addresses == {
        "availability": topics.availability,
        "state": topics.state("{appliance}", "{property}"),
        "set": topics.set_filter.replace("+/+", "{appliance}/{property}"),
        "event": topics.event("{name}"),
        "request": topics.request("{assistant}"),
        "reply": topics.reply,
        "bridgeAvailability": BridgeTopics("soripan", "{assistant}").availability,
        "bridgeMetrics": BridgeTopics("soripan", "{assistant}").metrics,
    }


def test_every_parameter_is_explained() -> None:
    for channel in DOCUMENT["channels"].values():
        assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", channel["address"]))


def test_the_connection_is_as_described() -> None:
    bindings = DOCUMENT["servers"]["home"]["bindings"]["mqtt"]
    assert bindings["sessionExpiryInterval"] == SESSION_EXPIRY
    assert bindings["maximumPacketSize"] == MAX_PACKET
    assert bindings["keepAlive"] == MqttSettings().keepalive


def test_a_bridges_metrics_are_as_their_schema() -> None:
    metrics = Metrics()
    check(metrics.snapshot(), payload_schema("bridgeMetrics", "metrics"))
    for number in range(5):
        metrics.count("ok", number / 10)
    snapshot = metrics.snapshot()
    check(snapshot, payload_schema("bridgeMetrics", "metrics"))
    assert (snapshot["ok"], set(snapshot["seconds"])) == (5, {"p50", "p95", "p99"})


# Events


@pytest.mark.parametrize("cls", EVENT_CLASSES)
def test_every_event_has_a_schema_with_its_attributes(cls: type[events.Event]) -> None:
    assert cls.topic is not None
    schema = look_up(payload_schema("event", cls.topic))
    hints = typing.get_type_hints(cls)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(cls)}
    optional = {name for name, hint in fields.items() if type(None) in typing.get_args(hint)}
    assert set(schema["properties"]) == {"at"} | set(fields)
    assert set(schema["required"]) == {"at"} | set(fields) - optional
    for name, hint in fields.items():
        kind = typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint
        kind = typing.get_origin(kind) or kind
        assert look_up(schema["properties"][name])["type"] == JSON_TYPES[kind], name


def test_the_document_has_no_other_events() -> None:
    topics = {cls.topic for cls in EVENT_CLASSES}
    channel = DOCUMENT["channels"]["event"]
    assert set(channel["messages"]) == topics
    assert set(channel["parameters"]["name"]["enum"]) == topics


def event_samples() -> Iterator[Any]:
    """Of every class an event, with all that it may hold and with nothing it can be without."""
    samples = [
        events.Wake(session="s", wake_word="alexa_v0.1", assistant="alexa", score=1.0),
        events.Listening(session="s", state="ended", reason="too_long"),
        events.TranscriptReady(session="s", text="우유 두 개", confidence=0.5),
        events.IntentReady(
            session="s",
            text="우유 두 개 사 줘",
            intent="ShoppingAdd",
            slots={"items": [{"name": "우유", "quantity": 2, "unit": "개"}]},
        ),
        events.Action(
            session="s", intent="SetVolume", appliance="tv", changes={"volume": "7"}, speech="네."
        ),
        events.RequestMade(
            session="s", id="a", assistant="alexa", kind="directed", text="안녕", speech="네."
        ),
        events.Question(session="s", about="order", speech="주문할까요?"),
        events.ReplyReady(
            session="s", id="a", assistant="alexa", status="ok", speech="네.", display="맑음"
        ),
        events.Error(session="s", code="out_of_range", message="8 is too high", speech="안 돼요."),
        events.Mute(session="s", muted=False),
        events.TimerDone(session="s", name="라면", seconds=180, speech="끝났어요."),
    ]
    for sample in samples:
        yield pytest.param(sample, id=f"{type(sample).__name__}-full")
        hints = typing.get_type_hints(type(sample))
        optional = {name for name, hint in hints.items() if type(None) in typing.get_args(hint)}
        least = dataclasses.replace(sample, **dict.fromkeys(optional - {"topic"}))
        yield pytest.param(least, id=f"{type(sample).__name__}-least")


@pytest.mark.parametrize("event", list(event_samples()))
def test_the_events_we_publish_are_as_their_schemas(event: events.Event) -> None:
    assert event.topic is not None
    check(json.loads(encode_event(event, datetime.now(UTC))), payload_schema("event", event.topic))


def test_there_is_a_sample_of_every_event() -> None:
    assert {type(sample.values[0]) for sample in event_samples()} == set(EVENT_CLASSES)


# Requests and replies


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "directed", "assistant": "home", "confidence": 0.0},
        {
            "kind": "shopping",
            "intent": "ShoppingOrder",
            "items": [Item(name="우유", quantity=2), Item(name="바나나", quantity=1, unit="송이")],
            "attempt": 3,
        },
    ],
)
def test_the_requests_we_publish_are_as_their_schema(
    values: dict[str, Any], make_request: Callable[..., Request]
) -> None:
    check(json.loads(encode(make_request(**values))), payload_schema("request", "request"))


def test_the_replies_that_bridges_make_are_as_their_schema() -> None:
    action = PropertyAction(appliance="tv", property="power", value="on")
    reply = Reply(
        schema="soripan.reply/1",
        id="a",
        status="failed",
        speech="안 돼요.",
        display="안 됨",
        expect_answer=True,
        actions=[action],
    )
    check(json.loads(encode(reply)), payload_schema("reply", "reply"))


@pytest.mark.parametrize(
    "example", DOCUMENT["components"]["messages"]["reply"]["examples"], ids=lambda e: e["name"]
)
def test_the_panel_can_read_the_replies_of_the_examples(example: Any) -> None:
    assert decode_reply(json.dumps(example["payload"]).encode()).id == example["payload"]["id"]


@pytest.mark.parametrize(
    ("cls", "name"), [(Request, "Request"), (Reply, "Reply"), (Item, "Item")], ids=str
)
def test_fields_are_those_of_the_schema(cls: type[msgspec.Struct], name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    fields = msgspec.structs.fields(cls)
    assert set(schema["properties"]) == {field.name for field in fields}
    # A factory of ours fills in what must be there; what has a plain default may be left out.
    must = {
        field.name
        for field in fields
        if field.default is msgspec.NODEFAULT and field.default_factory is not list
    }
    assert set(schema["required"]) == must
