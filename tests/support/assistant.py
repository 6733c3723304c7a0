"""A small MQTT client in the place of an assistant's bridge: what it answers is up to the test."""

import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


def ok(request: dict[str, Any]) -> dict[str, Any]:
    """An answer that says yes to everything."""
    return {"status": "ok", "speech": f"{request['text']} 했어요."}


class Assistant:
    """A bridge that is online from the start, and remembers its requests.

    Args:
        port: of the broker on this machine.
        name: of the assistant.
        answer: makes the reply to a request, without schema and id; None: it stays silent.
    """

    def __init__(self, port: int, name: str, answer: Answer = ok) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer = answer
        self._name = name
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._availability = f"soripan/bridges/{name}/availability"
        self._client.will_set(self._availability, "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go offline."""
        self.say("offline")
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, availability: str) -> None:
        """Publish whether it is there."""
        info = self._client.publish(self._availability, availability, qos=1, retain=True)
        info.wait_for_publish(5)

    def reply(self, request: dict[str, Any], **values: Any) -> None:
        """Answer a request, now or late."""
        reply = {"schema": "soripan.reply/1", "id": request["id"], **values}
        self._client.publish(request["reply_to"], json.dumps(reply), qos=1)

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(f"$share/{self._name}/soripan/+/request/{self._name}", qos=1)
        client.publish(self._availability, "online", qos=1, retain=True)

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        request = json.loads(message.payload)
        self.requests.append(request)
        if (answer := self.answer(request)) is not None:
            self.reply(request, **answer)
