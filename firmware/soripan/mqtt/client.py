"""The panel's connection to its broker.

paho runs its loop in a thread of its own; nothing here makes the caller wait for the network. What
comes in is kept in an inbox that the pipeline empties, so that appliances are only ever touched by
one thread. Every queue is bounded: what does not fit is dropped, counted and logged.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from soripan.config import MqttSettings
from soripan.events import Error, Event, EventBus
from soripan.exc import MessageError
from soripan.mqtt.connection import (
    MAX_PACKET,
    address,
    failure,
    hung_up,
    new_paho,
    properties_of,
    refusal,
)
from soripan.mqtt.drops import Drops
from soripan.mqtt.messages import MAX_PAYLOAD, Reply, Request, decode_reply, encode, encode_event
from soripan.mqtt.topics import Topics

log = logging.getLogger(__name__)

INBOX: Final = 256
"""Messages that may wait for the pipeline."""

BRIDGES: Final = 256
"""Assistants whose availability is remembered."""

SESSION_EXPIRY: Final = 60
"""Seconds of absence over which the broker keeps what came in for the panel. Replies survive a
short outage; what is older than this is of no use: nobody wants last hour's command carried out."""

_SHORT: Final = 3.0
"""Seconds. A connection that is lost sooner is suspicious."""

# MQTT 5 reason codes.
_UNSPECIFIED: Final = 128
_TAKEN_OVER: Final = 142


@dataclass(frozen=True, slots=True)
class SetMessage:
    """Somebody wants a property set."""

    appliance: str
    property: str
    value: str


@dataclass(frozen=True, slots=True)
class ReplyMessage:
    """A bridge answered."""

    reply: Reply


class _Phase(Enum):
    """How far the connection has got."""

    TRYING = auto()
    REFUSED = auto()
    CONNECTED = auto()
    LOST = auto()


class Receipt:
    """Tells whether the broker has taken a message."""

    def __init__(self, info: paho.MQTTMessageInfo) -> None:
        self._info = info

    @property
    def acknowledged(self) -> bool:
        """Whether it has; what is lost with the connection never is."""
        return self._info.rc is MQTTErrorCode.MQTT_ERR_SUCCESS and self._info.is_published()


class Client:
    """A panel at its broker.

    Args:
        settings: the broker.
        panel: the panel's id.
        bus: told of a broker that refuses the panel (``Error`` with code ``broker``).

    Raises:
        ConfigError: the password or the certificate authority cannot be read.
    """

    def __init__(self, settings: MqttSettings, panel: str, bus: EventBus) -> None:
        self.topics = Topics(settings.prefix, panel)
        self._settings = settings
        self._bus = bus
        self._hooks: list[Callable[[], None]] = []
        self._inbox: deque[SetMessage | ReplyMessage] = deque(maxlen=INBOX)
        self._errors: deque[Error] = deque(maxlen=8)
        self._drops = Drops()
        # Order of locks: this one, then paho's own. paho calls on_publish, and sometimes
        # on_disconnect, with its locks held, so those two must not take this one.
        self._lock = threading.Lock()
        self._bridges: dict[str, bool] = {}
        self._events: deque[paho.MQTTMessageInfo] = deque()
        self._phase = _Phase.TRYING
        self._since = 0.0
        self._trouble = ""
        self._told: set[str] = set()
        self._closed = False
        client_id = f"{settings.prefix}-{panel}".replace("/", "-")
        self._paho = self._set_up(new_paho(settings, client_id))

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the panel and is not known to be gone."""
        return self._phase is _Phase.CONNECTED

    @property
    def since(self) -> float:
        """When the present connection was made, on the monotonic clock."""
        return self._since

    def bridge(self, assistant: str) -> bool | None:
        """Whether a bridge of an assistant is there; None: nothing was heard of one."""
        return self._bridges.get(assistant)

    @property
    def dropped(self) -> dict[str, int]:
        """How many of each kind were dropped since the start."""
        return dict(self._drops.counts)

    def on_connect(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` at once if there is a connection, and after each one made from now on.

        That is in paho's thread, so it must not wait. Nothing that is retained is kept for a broker
        that is away; hooks publish it then.
        """
        self._hooks.append(hook)
        if self.connected:
            hook()

    def start(self) -> None:
        """Begin to connect, and return at once. A broker that is absent is tried for ever."""
        self._paho.connect_async(
            self._settings.host,
            self._settings.port,
            self._settings.keepalive,
            # Clean at the first connection only: after a restart nothing old is carried out.
            clean_start=paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties_of(
                PacketTypes.CONNECT,
                SessionExpiryInterval=SESSION_EXPIRY,
                MaximumPacketSize=MAX_PACKET,
            ),
        )
        self._paho.loop_start()

    def close(self, timeout: float = 2.0) -> None:
        """Say ``offline``, give it ``timeout`` seconds to go out, and disconnect."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self.connected:
            offline = self._paho.publish(self.topics.availability, "offline", qos=1, retain=True)
            with suppress(RuntimeError, ValueError):  # the connection has just been lost
                offline.wait_for_publish(timeout)
        self._paho.disconnect()
        # paho may be resolving a name or connecting; that can take longer than we want to wait.
        stopper = threading.Thread(target=self._paho.loop_stop, daemon=True)
        stopper.start()
        stopper.join(timeout)

    # What goes out

    def publish(
        self, topic: str, payload: str | bytes, *, qos: int = 1, retain: bool = False
    ) -> bool:
        """Publish, without waiting; False if it was dropped: no connection, or a full queue."""
        return self._publish("message", topic, payload, qos, retain)

    def publish_state(self, appliance: str, name: str, value: str) -> bool:
        """Publish the value of a property, retained.

        While the broker is away this does nothing: the hooks of :meth:`on_connect` publish what is
        true then. Sending it late instead could leave an old value behind a newer one.
        """
        if not self.connected:
            return False
        return self._publish("state", self.topics.state(appliance, name), value, 1, True)

    def publish_event(self, event: Event) -> bool:
        """Publish an event that has a topic, with QoS 0; False if it was dropped."""
        if event.topic is None:
            raise ValueError(f"{type(event).__name__} has no topic")
        payload = encode_event(event, datetime.now(UTC))
        return self._publish("event", self.topics.event(event.topic), payload, 0, False)

    def publish_request(self, request: Request, expiry: float | None) -> Receipt | None:
        """Publish a request.

        Args:
            request: goes to the bridges of its assistant.
            expiry: seconds after which nobody shall get it any more; None: never.

        Returns:
            None if it was not sent: there is no connection, or paho's queue is full.
        """
        properties = properties_of(
            PacketTypes.PUBLISH,
            ResponseTopic=self.topics.reply,
            CorrelationData=request.id.encode(),
            ContentType="application/json",
        )
        if expiry is not None:
            properties.MessageExpiryInterval = max(1, math.ceil(expiry))
        topic, payload = self.topics.request(request.assistant), encode(request)
        with self._lock:
            if self._closed or not self.connected:
                return None
            info = self._paho.publish(topic, payload, qos=1, properties=properties)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            return None
        return Receipt(info)

    def _publish(self, what: str, topic: str, payload: str | bytes, qos: int, retain: bool) -> bool:
        with self._lock:
            if self._closed or not self.connected:
                self._drops.count(what, "there is no connection to the broker")
                return False
            if qos == 0 and not self._room_for_event():
                self._drops.count(what, "the broker does not take them fast enough")
                return False
            info = self._paho.publish(topic, payload, qos, retain)
            if qos == 0:
                self._events.append(info)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._drops.count(what, paho.error_string(info.rc))
        return info.rc is MQTTErrorCode.MQTT_ERR_SUCCESS

    def _room_for_event(self) -> bool:
        """Whether another message with QoS 0 may wait; paho itself sets no limit to them."""
        while self._events and (self._events[0].rc or self._events[0].is_published()):
            self._events.popleft()
        return len(self._events) < self._settings.queue

    # What comes in

    def poll(self) -> list[SetMessage | ReplyMessage]:
        """What has come in since the last call. Never waits.

        The client's own errors are published on the event bus from here, so that handlers run in
        the pipeline's thread and not in paho's.
        """
        while self._errors:
            self._bus.publish(self._errors.popleft())
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def _receive(self, message: paho.MQTTMessage) -> None:
        topic, payload = message.topic, bytes(message.payload)
        if (assistant := self.topics.parse_bridge(topic)) is not None:
            self._meet(assistant, payload)
            return
        if message.retain:
            # It would be carried out at each reconnection.
            raise MessageError(f"{topic}: it is retained; clear it with an empty retained message")
        if len(payload) > MAX_PAYLOAD:
            raise MessageError(f"{topic}: it has {len(payload)} bytes")
        if topic == self.topics.reply:
            self._enqueue(ReplyMessage(decode_reply(payload)))
        elif (target := self.topics.parse_set(topic)) is None:
            raise MessageError(f"{topic}: no such topic")
        elif payload:  # an empty one only clears what was retained
            try:
                self._enqueue(SetMessage(*target, payload.decode("utf-8")))
            except UnicodeDecodeError:
                raise MessageError(f"{topic}: it is not UTF-8") from None

    def _meet(self, assistant: str, payload: bytes) -> None:
        """Note whether the bridges of an assistant are there."""
        if payload not in (b"online", b"offline", b""):
            raise MessageError(f"{assistant}: its availability is neither online nor offline")
        if assistant not in self._bridges and len(self._bridges) >= BRIDGES:
            raise MessageError(f"{assistant}: there are more than {BRIDGES} assistants")
        self._bridges[assistant] = payload == b"online"

    def _enqueue(self, message: SetMessage | ReplyMessage) -> None:
        # A deque that is full drops its oldest: of many values for a property the last one counts.
        if len(self._inbox) == INBOX:
            self._drops.count("incoming message", "the pipeline does not take them fast enough")
        self._inbox.append(message)

    # What paho calls, in its own thread

    def _set_up(self, client: paho.Client) -> paho.Client:
        client.will_set(self.topics.availability, "offline", qos=1, retain=True)
        # Room for all requests that may wait, as many states, and the availability.
        client.max_queued_messages_set(2 * self._settings.queue + 1)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _on_pre_connect(self, _client: paho.Client, _data: Any) -> None:
        self._phase = _Phase.TRYING

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._say(f"{failure(self._settings)}; trying again")

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._phase = _Phase.REFUSED
            self._say(refusal(reason, self._settings), tell=True)
            return
        self._bridges = {}  # what is retained comes again
        filters = (self.topics.set_filter, self.topics.reply, self.topics.bridges_filter)
        client.subscribe([(each, 1) for each in filters])
        with self._lock:
            # paho would send its own copies again whatever their age, and old states too. Of
            # requests the outbox knows which are still wanted.
            client.drop_out_messages()
            self._phase = _Phase.CONNECTED
            self._since = time.monotonic()
            client.publish(self.topics.availability, "online", qos=1, retain=True)
        self._trouble = ""
        log.info("connected to the broker at %s", address(self._settings))
        for hook in self._hooks:
            try:
                hook()
            except Exception:
                log.exception("a hook failed after the connection was made")

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        # paho reports some losses twice, and the end of a connection that was refused.
        phase, self._phase = self._phase, _Phase.LOST
        if self._closed:
            return
        if phase is _Phase.CONNECTED and reason.value == _TAKEN_OVER:
            self._say(
                "another client took this panel's name: give each panel its own id", tell=True
            )
        elif phase is _Phase.CONNECTED:
            why = "it hung up" if reason.value == _UNSPECIFIED else str(reason)
            if reason.value == _UNSPECIFIED and time.monotonic() - self._since < _SHORT:
                # mosquitto 2.0.11 gives no reason when it throws out a double.
                why += " at once (does another panel have the same id?)"
            self._say(f"lost the broker at {address(self._settings)}: {why}; trying again")
        elif phase is _Phase.TRYING:
            self._say(f"{hung_up(self._settings)}; trying again")

    def _on_publish(
        self, _client: paho.Client, _data: Any, _mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            topics = f"{self.topics.prefix}/{self.topics.panel}/#"
            message = f"the broker refuses to publish ({reason}): allow the panel {topics}"
            if message not in self._told:
                self._tell(message)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            self._receive(message)
        except MessageError as error:
            self._drops.count("incoming message", str(error))
        except Exception:  # it would end paho's thread
            log.exception("a message could not be dealt with")

    def _say(self, trouble: str, *, tell: bool = False) -> None:
        """Log trouble with the connection, unless it is the one we already have."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if tell:
            self._tell(trouble)
        else:
            log.warning("%s", trouble)

    def _tell(self, message: str) -> None:
        """Log an error that somebody must set right; the event bus hears of it once."""
        log.error("%s", message)
        if message not in self._told:
            self._told.add(message)
            self._errors.append(Error(code="broker", message=message))
