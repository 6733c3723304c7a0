"""The bridges that speak HTTP, with a server that answers as the test wants."""

import hmac
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from soripan.bridges import home_assistant, openai, webhook
from soripan.exc import (
    BridgeError,
    BridgeTimeoutError,
    BridgeUnavailableError,
    ConfigError,
)
from soripan.mqtt.messages import Item, decode_request
from support.bridges import order, question

Answer = Callable[[str, bytes], tuple[int, Any]]


class Server:
    """An HTTP server that notes what it was sent."""

    def __init__(
        self, answer: Answer, context: ssl.SSLContext | None = None, retry_after: str = ""
    ) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        posts = self.posts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.append((self.path, dict(self.headers), body))
                try:
                    status, content = answer(self.path, body)
                except ConnectionAbortedError:
                    self.close_connection = True
                    return
                payload = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                if retry_after:
                    self.send_header("Retry-After", retry_after)
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running: list[Server] = []

    def begin(answer: Any, context: ssl.SSLContext | None = None, retry_after: str = "") -> Server:
        fixed = answer if callable(answer) else lambda *_: (200, answer)
        running.append(Server(fixed, context, retry_after))
        return running[-1]

    yield begin
    for server in running:
        server.close()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text("open sesame\n")
    return str(file)


# Webhook


@contextmanager
def hook(url: str, secret: str, **values: Any) -> Iterator[webhook.Webhook]:
    settings = webhook.WebhookSettings(url=url, secret_file=secret, **values)
    bridge = webhook.Webhook(webhook.Settings(assistant="alexa", webhook=settings))
    yield bridge
    bridge.close()


def test_a_webhook_is_signed_and_answers(serve: Callable[..., Server], secret: str) -> None:
    action = {"appliance": "tv", "property": "volume", "value": "3"}
    server = serve({"speech": "네.", "expect_answer": True, "actions": [action]})
    request = order()
    with hook(server.url, secret) as bridge:
        reply = bridge.handle(request, 5)
    assert (reply.id, reply.status, reply.speech) == (request.id, "ok", "네.")
    assert reply.expect_answer
    assert reply.actions[0].value == "3"
    ((_, headers, body),) = server.posts
    assert decode_request(body) == request
    assert headers["Idempotency-Key"] == request.id
    timestamp = headers["X-Soripan-Timestamp"]
    assert abs(int(timestamp) - time.time()) < 60
    expected = hmac.new(b"open sesame", timestamp.encode() + b"." + body, "sha256").hexdigest()
    assert headers["X-Soripan-Signature"] == f"sha256={expected}"


def test_a_webhook_that_is_busy_is_asked_again(serve: Callable[..., Server], secret: str) -> None:
    answers = iter([(503, b""), (429, b""), (200, {})])
    server = serve(lambda *_: next(answers))
    with hook(server.url, secret) as bridge:
        assert bridge.handle(order(), 5).status == "ok"
    keys = {headers["Idempotency-Key"] for _, headers, _ in server.posts}
    assert (len(server.posts), len(keys)) == (3, 1)


@pytest.mark.parametrize("status", [503, 500, 429])
def test_a_webhook_that_stays_busy_is_asked_later(
    serve: Callable[..., Server], secret: str, status: int
) -> None:
    server = serve(lambda *_: (status, b""))
    began = time.monotonic()
    with (
        hook(server.url, secret, attempts=10) as bridge,
        pytest.raises(BridgeUnavailableError, match=str(status)),
    ):
        bridge.handle(order(), 1)
    assert time.monotonic() - began < 2
    assert len(server.posts) > 1


def test_a_webhook_says_when_to_ask_again(serve: Callable[..., Server], secret: str) -> None:
    answers = iter([(503, b""), (200, {})])
    server = serve(lambda *_: next(answers), retry_after="1")
    began = time.monotonic()
    with hook(server.url, secret) as bridge:
        assert bridge.handle(order(), 5).status == "ok"
    assert time.monotonic() - began >= 1
    slow = serve(lambda *_: (503, b""), retry_after=formatdate(time.time() + 60, usegmt=True))
    began = time.monotonic()
    with hook(slow.url, secret) as bridge, pytest.raises(BridgeUnavailableError):
        bridge.handle(order(), 5)
    assert time.monotonic() - began < 1, "a minute is longer than there is time"
    assert len(slow.posts) == 1


def hang_up(*_: Any) -> tuple[int, Any]:
    raise ConnectionAbortedError


def test_a_webhook_that_hangs_up_is_asked_again(serve: Callable[..., Server], secret: str) -> None:
    server = serve(hang_up)
    with hook(server.url, secret, attempts=2) as bridge, pytest.raises(BridgeUnavailableError):
        bridge.handle(order(), 5)
    assert len({headers["Idempotency-Key"] for _, headers, _ in server.posts}) == 1
    assert len(server.posts) == 2


def test_an_answer_that_trickles_has_an_end(secret: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.1)

        threading.Thread(target=trickle, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        with hook(url, secret) as bridge, pytest.raises(BridgeTimeoutError):
            bridge.handle(question(), 0.5)
        assert time.monotonic() - began < 2


def test_a_webhook_that_is_not_there(secret: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        hook(f"http://127.0.0.1:{port}", secret, attempts=2) as bridge,
        pytest.raises(BridgeUnavailableError),
    ):
        bridge.handle(order(), 3)


def test_a_webhook_that_is_slow(serve: Callable[..., Server], secret: str) -> None:
    def slow(*_: Any) -> tuple[int, Any]:
        time.sleep(1.5)
        return 200, {}

    server = serve(slow)
    with hook(server.url, secret) as bridge:
        with pytest.raises(BridgeTimeoutError):
            bridge.handle(question(), 0.3)
        # It may have been done: the panel asks again, under the same key.
        with pytest.raises(BridgeUnavailableError):
            bridge.handle(order(), 0.3)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b"<html>"),
        (200, {"status": "maybe"}),
        (200, {"speech": 3}),
        (200, [1]),
        (200, b"x" * 300_000),
        (302, b""),
        (401, b""),
        (404, b""),
        (200, b"[" * 100_000),
    ],
)
def test_a_webhook_that_makes_no_sense(
    serve: Callable[..., Server], secret: str, status: int, content: Any
) -> None:
    server = serve(lambda *_: (status, content))
    with hook(server.url, secret) as bridge, pytest.raises(BridgeError) as caught:
        bridge.handle(order(), 3)
    assert not isinstance(caught.value, BridgeUnavailableError)
    assert len(server.posts) == 1


def test_a_webhook_is_who_it_says(
    serve: Callable[..., Server], secret: str, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = serve({}, context)
    with (
        hook(server.url, secret, attempts=1) as bridge,
        pytest.raises(BridgeUnavailableError, match="certificate"),
    ):
        bridge.handle(order(), 3)
    with hook(server.url, secret, ca_file=str(certificate)) as bridge:
        assert bridge.handle(order(), 3).status == "ok"
    assert len(server.posts) == 1


def test_secrets_must_be_there(tmp_path: Path) -> None:
    settings = webhook.WebhookSettings(secret_file=str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"webhook\.secret_file"):
        webhook.Webhook(webhook.Settings(assistant="alexa", webhook=settings))


# Home Assistant


@contextmanager
def home(url: str, token: str) -> Iterator[home_assistant.HomeAssistant]:
    settings = home_assistant.HomeAssistantSettings(url=url, token_file=token)
    bridge = home_assistant.HomeAssistant(
        home_assistant.Settings(assistant="home", home_assistant=settings)
    )
    yield bridge
    bridge.close()


def conversation(speech: str, kind: str = "action_done", **data: Any) -> dict[str, Any]:
    return {
        "response": {
            "speech": {"plain": {"speech": speech}},
            "response_type": kind,
            "data": data,
            "language": "ko",
        },
        "conversation_id": "c1",
        "continue_conversation": False,
    }


def test_home_assistant_converses(serve: Callable[..., Server], secret: str) -> None:
    server = serve(conversation("거실 불을 켰어요."))
    asked = question("거실 불 켜 줘")
    with home(server.url, secret) as bridge:
        assert bridge.handle(asked, 5).speech == "거실 불을 켰어요."
        bridge.handle(asked, 5)
        bridge.handle(question("침실 불 켜 줘"), 5)
    path, headers, body = server.posts[0]
    assert path == "/api/conversation/process"
    assert headers["Authorization"] == "Bearer open sesame"
    assert json.loads(body) == {"text": "거실 불 켜 줘", "language": "ko"}
    known = [json.loads(body).get("conversation_id") for *_, body in server.posts]
    assert known == [None, "c1", None]  # one for each session


@pytest.mark.parametrize(
    ("code", "status"), [("no_intent_match", "unsupported"), ("failed_to_handle", "failed")]
)
def test_what_home_assistant_cannot_do(
    serve: Callable[..., Server], secret: str, code: str, status: str
) -> None:
    server = serve(conversation("모르겠어요.", "error", code=code))
    with home(server.url, secret) as bridge:
        assert bridge.handle(question(), 5).status == status


def test_home_assistants_list(serve: Callable[..., Server], secret: str) -> None:
    server = serve([])
    items = [
        Item(name="우유", quantity=2, unit="병"),
        Item(name="사과", quantity=3),
        Item(name="빵", quantity=1),
    ]
    with home(server.url, secret) as bridge:
        assert bridge.handle(order(intent="ShoppingAdd", items=items), 5).status == "ok"
        assert bridge.handle(order(), 5).status == "unsupported"  # it sells nothing
    assert {path for path, *_ in server.posts} == {"/api/services/shopping_list/add_item"}
    assert [json.loads(body)["name"] for *_, body in server.posts] == ["우유 2병", "사과 3", "빵"]


def test_home_assistant_that_stops_in_the_middle_of_a_list(
    serve: Callable[..., Server], secret: str
) -> None:
    answers = iter([(200, []), (503, b""), (200, []), (200, [])])
    server = serve(lambda *_: next(answers))
    items = [Item(name=name, quantity=1) for name in ("우유", "빵", "사과")]
    request = order(intent="ShoppingAdd", items=items)
    with home(server.url, secret) as bridge:
        with pytest.raises(BridgeUnavailableError):
            bridge.handle(request, 5)
        assert bridge.handle(request, 5).status == "ok"  # the panel asks again
        assert bridge.handle(order(intent="ShoppingAdd", items=[]), 5).status == "unsupported"
    names = [json.loads(body)["name"] for *_, body in server.posts]
    assert names == ["우유", "빵", "빵", "사과"], "nothing that went well is put there again"


@pytest.mark.parametrize("answer", [[], {}, {"response": 3}])
def test_a_home_assistant_that_makes_no_sense(
    serve: Callable[..., Server], secret: str, answer: Any
) -> None:
    with home(serve(answer).url, secret) as bridge, pytest.raises(BridgeError):
        bridge.handle(question(), 5)


# Chat models


@contextmanager
def chat(url: str, **values: Any) -> Iterator[openai.OpenAi]:
    settings = openai.OpenAiSettings(url=f"{url}/v1", **values)
    bridge = openai.OpenAi(openai.Settings(assistant="google", openai=settings))
    yield bridge
    bridge.close()


def completion(text: str | None) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


def test_a_chat_model_answers(serve: Callable[..., Server], secret: str) -> None:
    server = serve(completion("**내일**은 맑아요."))
    asked = question()
    with chat(server.url, key_file=secret) as bridge:
        reply = bridge.handle(asked, 5)
        bridge.handle(question("그럼 모레는", session=asked.session), 5)
        assert bridge.handle(order(), 5).status == "unsupported"
    assert reply.speech == "내일은 맑아요."
    path, headers, body = server.posts[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer open sesame"
    sent = json.loads(body)
    assert sent["stream"] is False
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "한국어" in sent["messages"][0]["content"]
    again = json.loads(server.posts[1][2])["messages"]
    assert [message["content"] for message in again[1:]] == [
        "내일 날씨 어때",
        "내일은 맑아요.",
        "그럼 모레는",
    ]


@pytest.mark.parametrize("answer", [{}, {"choices": []}, completion(None), completion("  ")])
def test_a_chat_model_that_makes_no_sense(serve: Callable[..., Server], answer: Any) -> None:
    with chat(serve(answer).url) as bridge, pytest.raises(BridgeError):
        bridge.handle(question(), 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("짧아요.", "짧아요."),
        ("하나. 둘! 셋? 그리고 넷.", "하나. 둘! 셋?"),
        ("가나다 라마바 사아자 차카타", "가나다 라마바 …"),
        ("3.5도예요. 그리고 길어요.", "3.5도예요."),
        ("[여기](http://x.y) `코드`", "여기 코드"),
        ("가" * 40, "가" * 11 + "…"),
        ("", ""),
    ],
)
def test_answers_are_cut_where_one_can_stop(text: str, said: str) -> None:
    spoken = openai.speakable(text, 12)
    assert spoken.replace(" …", "…") == said.replace(" …", "…")
    assert len(spoken) <= 12
