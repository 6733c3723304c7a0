"""Any chat model with an OpenAI-compatible endpoint: OpenAI, llama.cpp, Ollama, vLLM ...

API: https://platform.openai.com/docs/api-reference/chat
"""

import re
import threading
from collections import OrderedDict
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, field

from soripan.bridges.bridge import Bridge, BridgeSettings, reply, unsupported
from soripan.bridges.http import open_client, post
from soripan.config import Table
from soripan.exc import BridgeError
from soripan.mqtt.messages import Reply, Request
from soripan.secret import read_secret

_SESSIONS: Final = 64
"""Conversations that are remembered."""
_TURNS: Final = 6
"""Messages of a conversation that the model gets again."""
_SENTENCE: Final = re.compile(r".*?[.!?。…](?=\s|$)", re.DOTALL)
_MARKUP: Final = re.compile(r"[*_`#>]+|\[([^\]]*)\]\([^)]*\)")


def _prompts() -> dict[str, str]:
    return {
        "ko": "당신은 부엌 가전의 음성 비서입니다. 소리 내어 읽을 수 있게 한두 문장으로 짧고 "
        "공손하게 한국어로 대답하세요. 목록, 기호, 링크는 쓰지 마세요. 모르면 모른다고 하세요.",
        "en": "You are the voice assistant of a kitchen appliance. Answer in one or two short "
        "sentences that can be read aloud. No lists, no symbols, no links. If you do not know, "
        "say so.",
    }


class OpenAiSettings(Table, frozen=True):
    """``[openai]``."""

    url: Annotated[str, Meta(pattern=r"^https?://\S+$")] = "http://localhost:11434/v1"
    """Of the API, up to ``/chat/completions``."""
    model: Annotated[str, Meta(min_length=1)] = "llama3.2"
    key_file: str = ""
    """File with the API key, or the name of a systemd credential; empty: none is needed."""
    prompts: dict[str, str] = field(default_factory=_prompts)
    """The system prompt, by language."""
    longest: Annotated[int, Meta(ge=20, le=2000)] = 200
    """Letters that are spoken at most. What is longer is cut after a sentence."""
    max_tokens: Annotated[int, Meta(ge=16, le=4096)] = 256
    ca_file: str = ""
    """Certificate authority to trust, with https; empty: those of the system."""


class Settings(BridgeSettings, frozen=True):
    """``openai.toml``."""

    openai: OpenAiSettings = OpenAiSettings()


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


class OpenAi(Bridge):
    """Asks a chat model.

    Raises:
        ConfigError: the key cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.openai
        headers = {}
        if self._settings.key_file:
            key = read_secret(self._settings.key_file, "openai.key_file")
            headers["Authorization"] = f"Bearer {key}"
        self._http = open_client(self._settings.ca_file, headers=headers)
        self._lock = threading.Lock()
        self._history: OrderedDict[str, list[dict[str, str]]] = OrderedDict()

    def handle(self, request: Request, deadline: float) -> Reply:
        """Answer a question. It can buy nothing."""
        if request.kind == "shopping":
            return unsupported(request)
        with self._lock:
            before = list(self._history.get(request.session, ()))
        asked = {"role": "user", "content": request.text}
        prompt = self._settings.prompts.get(request.language, _prompts()["en"])
        body: dict[str, Any] = {
            "model": self._settings.model,
            "messages": [{"role": "system", "content": prompt}, *before, asked],
            "max_tokens": self._settings.max_tokens,
            "stream": False,
        }
        url = f"{self._settings.url.rstrip('/')}/chat/completions"
        answer = post(self._http, url, deadline, json=body)
        try:
            text = msgspec.convert(answer, _Completion).choices[0].message.content
        except (msgspec.ValidationError, IndexError):
            raise BridgeError(f"{url}: the answer is no completion") from None
        speech = speakable(text or "", self._settings.longest)
        if not speech:
            raise BridgeError(f"{url}: the answer is empty")
        self._remember(request.session, [*before, asked, {"role": "assistant", "content": speech}])
        return reply(request, speech, display=text if text != speech else None)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _remember(self, session: str, history: list[dict[str, str]]) -> None:
        with self._lock:
            self._history[session] = history[-_TURNS:]
            self._history.move_to_end(session)
            while len(self._history) > _SESSIONS:
                self._history.popitem(last=False)


def speakable(text: str, longest: int) -> str:
    """A text without markup, cut after the last sentence that fits; after a word if none does."""
    plain = " ".join(_MARKUP.sub(r"\1", text).split())
    if len(plain) <= longest:
        return plain
    said = ""
    for sentence in _SENTENCE.findall(plain):
        if len(said) + len(sentence) > longest:
            break
        said += sentence
    return said.strip() or plain[: longest - 1].rsplit(" ", 1)[0] + "…"
