"""The process around a bridge: MQTT, what comes twice, deadlines, and a graceful end.

Requests come through a shared subscription, so any number of processes, each with an instance name
of its own, share the work. A request is acknowledged after its reply was handed over, on the same
connection: should the process die before, the broker keeps the request, for the same instance.
Nobody waits until the broker has taken the reply: with mosquitto that is 40 ms, and a reply that is
lost on the way is remembered for the panel that asks again.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from soripan.bridges.bridge import Bridge, BridgeSettings, reply, unsupported
from soripan.bridges.memory import Claim, Memory
from soripan.bridges.metrics import Metrics
from soripan.exc import BridgeError, BridgeUnavailableError, BusyError, MessageError, StateError
from soripan.mqtt.connection import MAX_PACKET, failure, new_paho, properties_of, refusal
from soripan.mqtt.drops import Drops
from soripan.mqtt.messages import MAX_PAYLOAD, Reply, Request, decode_request, encode
from soripan.mqtt.topics import BridgeTopics

log = logging.getLogger(__name__)

SESSION_EXPIRY: Final = 30
"""Seconds for which the broker keeps what a process that died has not acknowledged: enough for a
restart. Not more, because mosquitto goes on dealing its share to one that is away."""
METRICS: Final = 30.0
"""Seconds between two publications of the metrics."""
GRACE: Final = 5.0
"""Seconds to finish what is in hand at the end."""
LEASE: Final = 5.0
"""Seconds beyond thrice its deadline (to connect, to send, to receive) after which a request that
was begun may be begun by another."""
LONGEST: Final = 500
"""Letters that are left of a reply that was cut down."""
_TAKEN_OVER: Final = 142
_SHORT: Final = 3.0
"""Seconds. A connection that is lost sooner is suspicious,"""
_DOUBLE: Final = 3
"""and as many in a row mean that somebody else has our name."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A request that was taken in."""

    request: Request
    topic: str
    """Where the reply goes."""
    correlation: bytes | None
    deadline: float
    """On the monotonic clock."""
    expires: float | None
    """When nobody wants the reply any more, on the same clock; None: never."""
    message: paho.MQTTMessage
    connection: int
    """The connection it came over: it can be acknowledged over no other."""


class Runtime:
    """One process of a bridge.

    Args:
        settings: as in its file.
        bridge: does the work.
        memory: of what was done.
        instance: name of this process among those of the same assistant.
    """

    def __init__(
        self, settings: BridgeSettings, bridge: Bridge, memory: Memory, instance: str = "1"
    ) -> None:
        self._settings = settings
        self._bridge = bridge
        self._memory = memory
        self.metrics = Metrics()
        self._drops = Drops()
        self.topics = BridgeTopics(settings.mqtt.prefix, settings.assistant)
        self._workers = ThreadPoolExecutor(settings.concurrency, settings.assistant)
        self._lock = threading.Lock()
        self._connection = 0
        self._since = -_SHORT
        self._short = 0
        self._stopping = False
        self._taken_over = threading.Event()
        self._told = ""
        name = f"{settings.mqtt.prefix}-bridge-{settings.assistant}-{instance}".replace("/", "-")
        self._paho = new_paho(settings.mqtt, name, manual_ack=True)
        self._paho.will_set(self.topics.availability, "offline", qos=1, retain=True)
        self._paho.on_connect = self._on_connect
        self._paho.on_connect_fail = lambda *_: self._say(f"{failure(settings.mqtt)}; trying again")
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_publish = self._on_publish
        self._paho.on_message = self._on_message

    def run(self, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Answer requests until somebody says stop.

        Args:
            stop: set from a signal handler or another thread.
            ready: called when it is about to connect.

        Raises:
            BusyError: another process has the same instance name.
        """
        self.start()
        ready()
        next_metrics = time.monotonic() + METRICS
        while not stop.wait(0.2) and not self._taken_over.is_set():
            if time.monotonic() >= next_metrics:
                next_metrics += METRICS
                self._publish_metrics()
        self.close()
        if self._taken_over.is_set():
            raise BusyError(
                "the broker ends every connection at once: another process of this bridge has the "
                "same name (give each its own --instance)"
            )

    def start(self) -> None:
        """Begin to connect, and return at once."""
        mqtt = self._settings.mqtt
        self._paho.connect_async(
            mqtt.host,
            mqtt.port,
            mqtt.keepalive,
            clean_start=False,
            properties=properties_of(
                PacketTypes.CONNECT,
                SessionExpiryInterval=SESSION_EXPIRY,
                MaximumPacketSize=MAX_PACKET,
                # More than the workers can take stays at the broker, for other processes.
                ReceiveMaximum=2 * self._settings.concurrency,
            ),
        )
        self._paho.loop_start()

    def close(self) -> None:
        """Take nothing more, finish what is in hand, and go offline."""
        self._stopping = True
        if self._paho.is_connected():
            self._paho.unsubscribe(self.topics.shared_filter)
        deadline = time.monotonic() + GRACE
        while self.metrics.in_hand and time.monotonic() < deadline:
            time.sleep(0.02)
        self._workers.shutdown(wait=False, cancel_futures=True)
        if self._paho.is_connected():
            self._publish_metrics()
            # Other processes of this assistant, if there are any, say at once that it is not so.
            offline = self._paho.publish(self.topics.availability, "offline", qos=1, retain=True)
            with suppress(RuntimeError, ValueError):  # the connection has just been lost
                offline.wait_for_publish(2)
        self._paho.disconnect()
        self._paho.loop_stop()
        self._bridge.close()

    # What paho calls, in its own thread

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._say(refusal(reason, self._settings.mqtt))
            return
        self._told = ""
        self._since = time.monotonic()
        with self._lock:
            self._connection += 1
        client.drop_out_messages()
        client.subscribe(
            [
                (self.topics.shared_filter, SubscribeOptions(qos=1)),
                (self.topics.availability, SubscribeOptions(qos=1, retainHandling=2)),
            ]
        )
        client.publish(self.topics.availability, "online", qos=1, retain=True)
        log.info("connected")

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        # mosquitto 2.0.11 gives no reason when it throws out a double; but it does so at once.
        self._short = self._short + 1 if time.monotonic() - self._since < _SHORT else 0
        if reason.value == _TAKEN_OVER or self._short >= _DOUBLE:
            self._taken_over.set()
        elif not self._stopping:
            self._say(f"lost the broker ({reason}); trying again")

    def _on_publish(
        self, _client: paho.Client, _data: Any, _mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            topics = f"{self.topics.reply_topic('+')}, {self.topics.availability}"
            self._say(
                f"the broker refuses to publish ({reason}): allow {topics}, {self.topics.metrics}"
            )

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            if message.topic == self.topics.availability:
                self._contradict(client, message)
                return
            job = self._read(message)
        except MessageError as error:
            self.metrics.count("refused")
            self._drops.count("request", f"{message.topic}: {error}")
        except Exception:  # it would end paho's thread
            log.exception("%s: a message could not be read", message.topic)
        else:
            with self._lock:
                self.metrics.in_hand += 1
            try:
                self._workers.submit(self._work, job)
            except RuntimeError:  # it is being closed; the broker keeps the request
                with self._lock:
                    self.metrics.in_hand -= 1
            return
        client.ack(message.mid, message.qos)

    def _contradict(self, client: paho.Client, message: paho.MQTTMessage) -> None:
        """Another process of this assistant went offline, or died; we have not."""
        if message.payload != b"online" and not self._stopping:
            client.publish(self.topics.availability, "online", qos=1, retain=True)
        client.ack(message.mid, message.qos)

    def _read(self, message: paho.MQTTMessage) -> _Job:
        """Take a request in.

        Raises:
            MessageError: it is none, or is not for us, or its answer would go astray.
        """
        request = decode_request(bytes(message.payload))
        properties: Any = message.properties
        if request.assistant != self._settings.assistant:
            raise MessageError(f"is for {request.assistant}")
        if message.topic != self.topics.request_topic(request.panel):
            raise MessageError(f"says that it is of the panel {request.panel}")
        # The reply goes to that panel, and nowhere else, whatever the request says.
        topic = self.topics.reply_topic(request.panel)
        if getattr(properties, "ResponseTopic", topic) != topic or request.reply_to != topic:
            raise MessageError(f"wants its reply elsewhere than on {topic}")
        now = time.monotonic()
        deadline, expires = now + self._settings.deadline, None
        expiry = getattr(properties, "MessageExpiryInterval", None)
        if expiry is not None:
            expires = now + float(expiry)
            deadline = min(deadline, expires)
        correlation = getattr(properties, "CorrelationData", None)
        return _Job(request, topic, correlation, deadline, expires, message, self._connection)

    # The workers

    def _work(self, job: _Job) -> None:
        try:
            self._answer(job)
        except Exception:
            log.exception("%s: could not be answered", job.request.id)
        finally:
            with self._lock:
                self.metrics.in_hand -= 1
                current = job.connection == self._connection
            if current:
                self._paho.ack(job.message.mid, job.message.qos)

    def _answer(self, job: _Job) -> None:
        began = time.monotonic()
        left = job.deadline - began
        if left <= 0 and job.request.kind != "shopping":
            self.metrics.count("expired")  # it waited too long; somebody else has it by now
            return
        left = max(left, 1.0)
        durable = job.request.kind == "shopping"
        try:
            claim = self._memory.claim(job.request.id, 3 * left + LEASE, durable)
        except StateError as error:
            self._decline(job, error)
            return
        if claim is Claim.BUSY:
            self.metrics.count("duplicate")
            return
        if isinstance(claim, bytes):
            self.metrics.count("duplicate")
            self._reply(job, claim)
            return
        answer = self._handle(job.request, left)
        if answer is None:
            self._memory.release(job.request.id)
            self.metrics.count("unavailable", time.monotonic() - began)
            return
        body = _body(job.request, answer)
        try:
            self._memory.remember(job.request.id, body, durable)
        except StateError as error:
            # It was done, and the panel must hear of it now: there will be no second chance.
            log.error("%s: will not be remembered: %s", job.request.id, error)
        self._reply(job, body)
        self.metrics.count(answer.status, time.monotonic() - began)

    def _decline(self, job: _Job, error: StateError) -> None:
        """Do nothing, because it could not be written down first.

        Shopping gets no reply: it may be one that was done before, so "failed" could be a lie, and
        the panel asks again until there is a memory. A question is passed on to somebody else.
        """
        self._drops.count("request without memory", f"{job.request.id}: {error}")
        self.metrics.count("unavailable")
        if job.request.kind != "shopping":
            self._reply(job, encode(unsupported(job.request)))

    def _handle(self, request: Request, deadline: float) -> Reply | None:
        """The reply; None: there is none, and the panel shall ask again."""
        try:
            return self._bridge.handle(request, deadline)
        except BridgeUnavailableError as error:
            log.warning("%s: %s", request.id, error)
            # Shopping waits for its assistant; a question does not.
            return None if request.kind == "shopping" else unsupported(request)
        except BridgeError as error:
            log.warning("%s: %s", request.id, error)
        except Exception:
            log.exception("%s: the bridge failed", request.id)
        return reply(request, status="failed")

    def _reply(self, job: _Job, body: bytes) -> None:
        """Publish a reply, unless nobody wants it any more."""
        if job.expires is not None and time.monotonic() >= job.expires:
            return
        properties = properties_of(PacketTypes.PUBLISH, ContentType="application/json")
        if job.correlation is not None:
            properties.CorrelationData = job.correlation
        self._paho.publish(job.topic, body, qos=1, properties=properties)

    def _publish_metrics(self) -> None:
        body = msgspec.json.encode(self.metrics.snapshot())
        self._paho.publish(self.topics.metrics, body, qos=1, retain=True)

    def _say(self, trouble: str) -> None:
        """Log trouble, unless it is what was logged last."""
        if trouble != self._told:
            self._told = trouble
            log.warning("%s", trouble)


def _body(request: Request, answer: Reply) -> bytes:
    """The JSON of a reply. What no panel would read is cut down to its status and a sentence."""
    with suppress(UnicodeEncodeError):  # half of a surrogate pair, in what an assistant said
        body = encode(answer)
        if len(body) <= MAX_PAYLOAD:
            return body
    log.warning("%s: the reply is too long, or not text: cut down", request.id)
    speech = (answer.speech or "").encode("utf-8", "replace").decode()[:LONGEST] or None
    return encode(reply(request, speech, status=answer.status))
