"""The event bus: who is told what, in which order, whatever a handler does."""

import logging

import pytest

from soripan.events import Error, Event, EventBus, Mute, StateChanged


def test_handlers_of_a_class_and_of_its_bases_are_called_in_order() -> None:
    bus, calls = EventBus(), list[str]()
    bus.subscribe(Event, lambda _: calls.append("any"))
    bus.subscribe(Mute, lambda _: calls.append("first"))
    bus.subscribe(Mute, lambda _: calls.append("second"))
    bus.subscribe(Error, lambda _: calls.append("error"))
    bus.publish(Mute(muted=True))
    assert calls == ["first", "second", "any"]


def test_a_handler_that_raises_is_logged_and_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, seen = EventBus(), list[Event]()

    def broken(_: Event) -> None:
        raise ZeroDivisionError("on purpose")

    bus.subscribe(Mute, broken)
    bus.subscribe(Mute, seen.append)
    with caplog.at_level(logging.ERROR):
        bus.publish(Mute(muted=False))
    assert seen == [Mute(muted=False)]
    assert "handler of Mute failed" in caplog.text
    assert "on purpose" in caplog.text


def test_a_handler_may_publish_and_subscribe() -> None:
    bus, seen = EventBus(), list[Event]()
    changed = StateChanged(appliance="tv", property="mute", value="on")
    bus.subscribe(Mute, lambda _: bus.publish(changed))
    bus.subscribe(Mute, lambda _: bus.subscribe(Error, seen.append))
    bus.subscribe(StateChanged, seen.append)
    bus.publish(Mute(muted=True))
    bus.publish(Error(code="set", message="no"))
    assert seen == [changed, Error(code="set", message="no")]
