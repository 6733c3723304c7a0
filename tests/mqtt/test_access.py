"""Names, passwords, TLS and rights: what the client and ``probe`` say about them."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from soripan.config import MqttSettings
from soripan.events import Error
from soripan.exc import BrokerError, ConfigError
from soripan.mqtt.client import Client
from soripan.mqtt.connection import probe
from support.broker import Broker, Monitor

MakeClient = Callable[..., Client]
USERS = {"kitchen": "달고나", "watcher": "secret"}


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("달고나\nnot this\n", encoding="utf-8")
    return path


@pytest.fixture
def guarded() -> Iterator[Broker]:
    with Broker(users=USERS) as running:
        yield running


def settings(broker: Broker, **values: object) -> MqttSettings:
    return MqttSettings(**{"host": broker.host, "port": broker.port} | values)  # type: ignore[arg-type]


def watch(broker: Broker) -> Monitor:
    return Monitor(broker.host, broker.port, username="watcher", password="secret")  # noqa: S106


def poll(client: Client, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.poll()
        time.sleep(0.05)


def test_the_password_is_the_first_line_of_its_file(
    guarded: Broker, password: Path, make_client: MakeClient
) -> None:
    client = make_client(guarded.port, username="kitchen", password_file=str(password))
    client.start()
    with watch(guarded) as monitor:
        monitor.wait_for("soripan/kitchen/availability", "online")


def test_the_password_is_a_systemd_credential(
    guarded: Broker, password: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(password.parent))
    assert "as kitchen" in probe(settings(guarded, username="kitchen", password_file="password"))  # noqa: S106


@pytest.mark.usefixtures("quick")
def test_a_wrong_password_is_told_once(
    guarded: Broker,
    tmp_path: Path,
    make_client: MakeClient,
    errors: list[Error],
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense")
    client = make_client(guarded.port, username="kitchen", password_file=str(wrong))
    client.start()
    poll(client, 1.5)
    assert guarded.log.count("not authorised") > 2  # it is tried again ...
    assert [error.code for error in errors] == ["broker"]  # ... and told once
    assert "check username and password_file" in errors[0].message
    assert caplog.text.count("refuses us") == 1
    assert "hangs up" not in caplog.text
    assert "lost" not in caplog.text


def test_a_panel_that_may_not_publish_is_told_so_once(
    password: Path, make_client: MakeClient, errors: list[Error]
) -> None:
    with Broker(users=USERS, acl="user kitchen\ntopic read #\n") as broker:
        client = make_client(broker.port, username="kitchen", password_file=str(password))
        client.start()
        poll(client, 0.5)
        client.publish_state("tv", "volume", "7")
        poll(client, 0.5)
    assert len(errors) == 1
    assert "allow the panel soripan/kitchen/#" in errors[0].message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        (b"", "no first line"),
        (b" \nx", "no first line"),
        (b"\xff", "UTF-8"),
    ],
)
def test_a_password_that_cannot_be_read_is_a_config_error(
    content: bytes | None, problem: str, tmp_path: Path, make_client: MakeClient
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        make_client(1, username="kitchen", password_file=str(path))
    assert caught.value.path == path
    assert caught.value.key == "mqtt.password_file"


def test_a_folder_is_no_password(tmp_path: Path, make_client: MakeClient) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        make_client(1, username="kitchen", password_file=str(tmp_path))


def test_a_password_without_a_name_is_a_config_error(
    password: Path, make_client: MakeClient
) -> None:
    with pytest.raises(ConfigError, match="username"):
        make_client(1, password_file=str(password))


def test_a_host_that_cannot_be_one_is_a_config_error(make_client: MakeClient) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.host"):
        make_client(1, host="broker..local")


# TLS


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.crt, another.crt, and server.crt for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    for name in ("ca", "another"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
        openssl(folder, *new, *files, "-subj", f"/CN={name}")
    openssl(
        folder,
        *new,
        *("-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=broker"),
        *("-CA", "ca.crt", "-CAkey", "ca.key"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"),
    )
    return folder


@contextmanager
def encrypted(certificates: Path) -> Iterator[Broker]:
    lines = f"certfile {certificates}/server.crt\nkeyfile {certificates}/server.key"
    with Broker(extra=lines) as running:
        yield running


def test_tls_with_the_right_authority(certificates: Path, make_client: MakeClient) -> None:
    ca_file = str(certificates / "ca.crt")
    with encrypted(certificates) as broker:
        client = make_client(broker.port, tls=True, ca_file=ca_file)
        client.start()
        deadline = time.monotonic() + 10
        while not client.connected and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.connected
        assert "over TLS" in probe(settings(broker, tls=True, ca_file=ca_file))


def test_tls_with_another_authority_is_refused(
    certificates: Path, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    with encrypted(certificates) as broker:
        client = make_client(broker.port, tls=True, ca_file=str(certificates / "another.crt"))
        client.start()
        time.sleep(0.5)
        assert not client.connected
    assert "is not trusted" in caplog.text


def test_an_authority_that_cannot_be_read_is_a_config_error(
    tmp_path: Path, make_client: MakeClient
) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.ca_file"):
        make_client(1, tls=True, ca_file=str(tmp_path / "absent"))
    (tmp_path / "junk").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"mqtt\.ca_file"):
        make_client(1, tls=True, ca_file=str(tmp_path / "junk"))


# probe


def test_probe_describes_the_connection(broker: Broker) -> None:
    assert probe(settings(broker)) == f"127.0.0.1:{broker.port}, MQTT 5"


def test_probe_leaves_the_running_panel_alone(
    broker: Broker, monitor: Monitor, make_client: MakeClient
) -> None:
    client = make_client(broker.port)
    client.start()
    monitor.wait_for("soripan/kitchen/availability", "online")
    probe(settings(broker))
    time.sleep(0.3)
    assert client.connected
    assert len(monitor.messages) == 1


def test_probe_names_no_listener(broker: Broker) -> None:
    broker.stop()
    with pytest.raises(BrokerError, match=r"nothing listens at .* start the broker"):
        probe(settings(broker))


def test_probe_names_an_unknown_host(broker: Broker) -> None:
    with pytest.raises(BrokerError, match=r"broker\.invalid cannot be resolved"):
        probe(settings(broker, host="broker.invalid"))


def test_probe_names_a_refusal(guarded: Broker) -> None:
    with pytest.raises(BrokerError, match="check username and password_file"):
        probe(settings(guarded, username="nobody"))


def test_probe_names_tls_trouble(certificates: Path, broker: Broker) -> None:
    with encrypted(certificates) as secure:
        with pytest.raises(BrokerError, match="is not trusted"):
            probe(settings(secure, tls=True))
        with pytest.raises(BrokerError, match="check port and tls"):
            probe(settings(secure))
    with pytest.raises(BrokerError, match="tls"):
        probe(settings(broker, tls=True), timeout=2)


def answering(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(answer)
        connection.settimeout(5)
        connection.recv(1024)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"\x20\x02\x00\x01", "does not speak MQTT 5"),  # as MQTT 3.1.1 brokers say it
        (b"\x20\x03\x00\x84\x00", "does not speak MQTT 5"),
        (b"\x20\x03\x00\x88\x00", "refuses us: Server unavailable"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "check port"),
        (b"", "gives no answer"),
    ],
)
def test_probe_names_what_is_no_mqtt_5_broker(answer: bytes, problem: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answering, args=(listener, answer), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(BrokerError, match=problem):
            probe(MqttSettings(host="127.0.0.1", port=port), timeout=1)
        assert time.monotonic() - began < 2
        thread.join(6)
