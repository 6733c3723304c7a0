"""Connections to a broker, as panels and bridges make them, and what is said when they fail."""

import random
import socket
import ssl
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from soripan.config import MqttSettings
from soripan.exc import BrokerError, ConfigError
from soripan.mqtt.messages import MAX_PAYLOAD
from soripan.secret import read_secret

MAX_PACKET: Final = 4 * MAX_PAYLOAD
"""Bytes. The broker is asked to keep larger packets to itself, so they take no memory here."""

BACK_OFF: Final = (1.0, 60.0)
"""Seconds between attempts to connect, at most: at first, and in the long run. Each connection has
its own share of them, so that panels which lost the same broker do not all come back at once."""

# MQTT 5 reason codes.
_NOT_AUTHORISED: Final = {134, 135}
_UNSUPPORTED_VERSION: Final = 132


def probe(settings: MqttSettings, timeout: float = 5.0) -> str:
    """Connect once, disconnect, and describe the connection.

    Raises:
        BrokerError: it did not work; the message says why and what to do.
        ConfigError: the password or the certificate authority cannot be read.
    """
    # A name of its own: with the panel's it would throw out the panel that is running.
    client = new_paho(settings, f"{settings.prefix}-probe-{uuid.uuid4().hex[:8]}".replace("/", "-"))
    answers: list[ReasonCode] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
    client.connect_timeout = timeout
    deadline = time.monotonic() + timeout
    try:
        code = client.connect(settings.host, settings.port, settings.keepalive)
        while not answers and not code and time.monotonic() < deadline:
            code = client.loop(0.1)
    except OSError as error:
        raise BrokerError(explain(error, settings)) from None
    finally:
        client.disconnect()
    if not answers and code:
        raise BrokerError(hung_up(settings))
    if not answers:
        raise BrokerError(f"{address(settings)} gives no answer: not a broker, or check port, tls")
    if answers[0].is_failure:
        raise BrokerError(refusal(answers[0], settings))
    name = f" as {settings.username}" if settings.username else ""
    return f"{address(settings)}, MQTT 5{' over TLS' if settings.tls else ''}{name}"


def new_paho(settings: MqttSettings, client_id: str, *, manual_ack: bool = False) -> paho.Client:
    """A paho client with name, password and TLS as in the settings.

    Args:
        settings: the broker.
        client_id: its name there.
        manual_ack: whether messages are acknowledged by hand.

    Raises:
        ConfigError: the password or the certificate authority cannot be read.
    """
    try:
        settings.host.encode("idna")
    except UnicodeError:  # paho's thread would end with it
        raise ConfigError(
            "panel.toml", "mqtt.host", f"“{settings.host}” cannot be a host's name", "correct it"
        ) from None
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=manual_ack,
    )
    if settings.username:
        file = settings.password_file
        password = read_secret(file, "mqtt.password_file") if file else None
        client.username_pw_set(settings.username, password)
    elif settings.password_file:
        raise ConfigError(
            "panel.toml", "mqtt.username", "is missing, but there is a password", "add it"
        )
    if settings.tls:
        try:
            ca_file = str(Path(settings.ca_file).expanduser()) if settings.ca_file else None
            client.tls_set(ca_certs=ca_file)
        except OSError as error:  # ssl.SSLError too: the file is no certificate
            raise ConfigError(
                settings.ca_file, "mqtt.ca_file", f"cannot be used: {error}", "name a PEM file"
            ) from None
    # paho wants whole seconds, and computes with any.
    shortest, longest = (each * random.uniform(0.5, 1.0) for each in BACK_OFF)  # noqa: S311
    client.reconnect_delay_set(shortest, longest)  # type: ignore[arg-type]
    return client


def properties_of(packet: int, **values: Any) -> Properties:
    """MQTT 5 properties for a kind of packet."""
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def address(settings: MqttSettings) -> str:
    """Host and port."""
    return f"{settings.host}:{settings.port}"


def explain(error: OSError, settings: MqttSettings) -> str:
    """Why no connection could be opened, and what to do about it."""
    where = address(settings)
    match error:
        case socket.gaierror():
            return f"the name {settings.host} cannot be resolved: check host"
        case ConnectionRefusedError():
            return f"nothing listens at {where}: start the broker, or check host and port"
        case ssl.SSLCertVerificationError():
            why = error.verify_message
            return f"the certificate of {where} is not trusted: {why}; check ca_file"
        case ssl.SSLError():
            return f"no TLS with {where}: {error.reason or error}; check port and tls"
        case TimeoutError():
            return f"no answer from {where}: check host, port, tls and the network"
        case _:
            return f"no connection to {where}: {error.strerror or error}; check port, tls, network"


def failure(settings: MqttSettings) -> str:
    """Why no connection could be opened: for ``on_connect_fail``, and of no use elsewhere."""
    # paho calls that where it has caught the exception, and does not pass it on.
    error = sys.exc_info()[1]
    return explain(error, settings) if isinstance(error, OSError) else str(error)


def refusal(reason: ReasonCode, settings: MqttSettings) -> str:
    """Why the broker does not want us, and what to do about it."""
    where = address(settings)
    if reason.value in _NOT_AUTHORISED:
        return f"the broker at {where} refuses us ({reason}): check username and password_file"
    if reason.value == _UNSUPPORTED_VERSION:
        return f"the broker at {where} does not speak MQTT 5: use mosquitto 1.6 or later"
    return f"the broker at {where} refuses us: {reason}"


def hung_up(settings: MqttSettings) -> str:
    """What is said when the other side ends the connection without a word."""
    return f"{address(settings)} hangs up: not a broker with MQTT 5, or check port and tls"
