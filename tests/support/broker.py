"""A real MQTT broker for tests and the demo: a private mosquitto, and a client that watches it."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions


class Broker:
    """A mosquitto on a free port of the loopback interface, with its files in a folder of its own.

    Args:
        users: names and passwords; None: anybody may connect.
        acl: the text of an ACL file; None: whoever is in may do everything.
        persistence: whether it keeps its messages over a restart, even over :meth:`kill`.
        extra: more lines for its configuration, about its only listener.

    Raises:
        RuntimeError: mosquitto is not installed, or does not start; says what to do.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        acl: str | None = None,
        persistence: bool = False,
        extra: str = "",
    ) -> None:
        self.port = _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="broker-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.folder / "log"
        self.config = self.folder / "mosquitto.conf"
        self.config.write_text(self._configuration(users, acl, persistence) + extra + "\n")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Its process, which must be running."""
        if self._process is None:
            raise RuntimeError("the broker is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the broker has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it, also again after :meth:`stop` or :meth:`kill`, and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [_program("mosquitto"), "-c", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        raise RuntimeError(f"mosquitto does not start:\n{self.log}")

    def stop(self) -> None:
        """Stop it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Let it crash."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop its clock: connections stay open and nothing is answered any more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        self._signal(signal.SIGCONT)

    def _configuration(
        self, users: Mapping[str, str] | None, acl: str | None, persistence: bool
    ) -> str:
        lines = [
            f"listener {self.port} {self.host}",
            f"allow_anonymous {str(users is None).lower()}",
            f"user {getpass.getuser()}",  # when started by root it would become somebody else
            "log_type all",
        ]
        if users is not None:
            passwords = self.folder / "passwords"
            passwords.touch(mode=0o600)
            for name, password in users.items():
                subprocess.run(
                    [_program("mosquitto_passwd"), "-b", str(passwords), name, password],
                    check=True,
                    capture_output=True,
                )
            lines.append(f"password_file {passwords}")
        if acl is not None:
            acl_file = self.folder / "acl"
            acl_file.touch(mode=0o600)
            acl_file.write_text(acl)
            lines.append(f"acl_file {acl_file}")
        if persistence:
            lines += [
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_on_changes true",
                "autosave_interval 1",
            ]
        return "\n".join(lines) + "\n"

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self.thaw()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _signal(self, what: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(what)


@dataclass(frozen=True, slots=True)
class Received:
    """A message as a client got it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    """As it was published, even when it came live."""
    response_topic: str | None
    correlation: bytes | None
    expiry: int | None
    """Seconds that are left of it."""
    content_type: str | None

    @property
    def text(self) -> str:
        """The payload as text."""
        return self.payload.decode()


class Monitor:
    """An MQTT 5 client that records what is published, and can publish itself.

    Args:
        host: the broker's.
        port: the broker's.
        filters: what it subscribes to.
        username: if the broker wants one.
        password: if the broker wants one.

    Raises:
        ConnectionError: there is no broker, or it refuses.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *filters: str,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.messages: list[Received] = []
        """All that came, oldest first."""
        self._filters = filters or ("#",)
        self._changed = threading.Condition()
        self._ready: ReasonCode | None = None
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect(host, port)
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready is not None, timeout=10)
        if self._ready is None or self._ready.is_failure:
            self.close()
            raise ConnectionError(f"no broker for the monitor at {host}:{port}: {self._ready}")

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
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def wait(self, wanted: Callable[[Received], bool], timeout: float = 10) -> Received:
        """The first message recorded, before now or within ``timeout`` seconds, that is wanted.

        Raises:
            TimeoutError: none came; says which did.
        """
        with self._changed:
            if self._changed.wait_for(lambda: any(map(wanted, self.messages)), timeout):
                return next(filter(wanted, self.messages))
            came = "".join(f"\n  {message}" for message in self.messages)
        raise TimeoutError(f"the message did not come; what came:{came or ' nothing'}")

    def wait_for(self, topic: str, text: str | None = None, timeout: float = 10) -> Received:
        """The first message on a topic, with a certain text if one is given."""
        return self.wait(lambda m: m.topic == topic and text in (None, m.text), timeout)

    def clear(self) -> None:
        """Forget what was recorded."""
        with self._changed:
            self.messages.clear()

    def publish(
        self, topic: str, payload: str | bytes = b"", *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish, and wait until the broker has it.

        Raises:
            TimeoutError: the broker did not take it.
        """
        info = self._client.publish(topic, payload, qos, retain)
        info.wait_for_publish(10)
        if not info.is_published():
            raise TimeoutError(f"the broker did not take {topic}")

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._on_subscribe(client, None, 0, [reason], None)
            return
        options = SubscribeOptions(qos=1, retainAsPublished=True)
        client.subscribe([(each, options) for each in self._filters])

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _prop: Any
    ) -> None:
        with self._changed:
            self._ready = max(reasons, key=lambda reason: reason.value)
            self._changed.notify_all()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        properties = message.properties or _no_properties()
        received = Received(
            topic=message.topic,
            payload=bytes(message.payload),
            qos=message.qos,
            retain=message.retain,
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation=getattr(properties, "CorrelationData", None),
            expiry=getattr(properties, "MessageExpiryInterval", None),
            content_type=getattr(properties, "ContentType", None),
        )
        with self._changed:
            self.messages.append(received)
            self._changed.notify_all()


def _no_properties() -> Properties:
    return Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]


def _program(name: str) -> str:
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"
    if found := shutil.which(name, path=path):
        return found
    raise RuntimeError(f"{name} is not installed: sudo apt-get install mosquitto")


def _free_port() -> int:
    with socket.create_server((Broker.host, 0)) as server:
        port: int = server.getsockname()[1]
        return port
