"""Tells the home over MQTT what goes on in the panel."""

import threading

from soripan.events import Event, EventBus, StateChanged
from soripan.mqtt.client import Client


class Publisher:
    """Hands events and states from the event bus to the client; waits for nothing.

    It remembers the last value of every property, and publishes all of them whenever the panel has
    found its broker (again).
    """

    def __init__(self, bus: EventBus, client: Client) -> None:
        self._client = client
        self._states: dict[tuple[str, str], str] = {}
        # Held while publishing too, so that an older value cannot overtake a newer one.
        self._lock = threading.Lock()
        bus.subscribe(Event, self._event)
        bus.subscribe(StateChanged, self._state)
        client.on_connect(self._publish_states)

    def _event(self, event: Event) -> None:
        if event.topic is not None:
            self._client.publish_event(event)

    def _state(self, event: StateChanged) -> None:
        with self._lock:
            self._states[event.appliance, event.property] = event.value
            self._client.publish_state(event.appliance, event.property, event.value)

    def _publish_states(self) -> None:
        with self._lock:
            for (appliance, name), value in self._states.items():
                self._client.publish_state(appliance, name, value)
