"""Home Assistant: its conversation agent for questions and commands, its shopping list.

REST API: https://developers.home-assistant.io/docs/api/rest and .../docs/intent_conversation_api
"""

import threading
import time
from collections import OrderedDict
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from soripan.bridges.bridge import Bridge, BridgeSettings, reply, unsupported
from soripan.bridges.http import open_client, post
from soripan.config import Table
from soripan.exc import BridgeError, BridgeUnavailableError
from soripan.mqtt.messages import Item, Reply, Request
from soripan.secret import read_secret

_SESSIONS: Final = 256
"""Conversations, and lists that were not finished, that are remembered."""


class HomeAssistantSettings(Table, frozen=True):
    """``[home_assistant]``."""

    url: Annotated[str, Meta(pattern=r"^https?://\S+$")] = "http://homeassistant.local:8123"
    token_file: str = "home-assistant-token"  # noqa: S105  its name
    """File with a long-lived access token, or the name of a systemd credential."""
    agent: str = ""
    """The conversation agent to ask; empty: the default one."""
    ca_file: str = ""
    """Certificate authority to trust, with https; empty: those of the system."""


class Settings(BridgeSettings, frozen=True):
    """``home_assistant.toml``."""

    home_assistant: HomeAssistantSettings = HomeAssistantSettings()


class _Speech(msgspec.Struct):
    speech: dict[str, dict[str, Any]] = {}
    response_type: str = "action_done"
    data: dict[str, Any] = {}


class _Conversation(msgspec.Struct):
    response: _Speech
    conversation_id: str | None = None
    continue_conversation: bool = False


class HomeAssistant(Bridge):
    """Talks to one Home Assistant.

    Raises:
        ConfigError: the token cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.home_assistant
        token = read_secret(self._settings.token_file, "home_assistant.token_file")
        headers = {"Authorization": f"Bearer {token}"}
        self._http = open_client(self._settings.ca_file, headers=headers)
        self._lock = threading.Lock()
        self._conversations: OrderedDict[str, str] = OrderedDict()
        self._added: OrderedDict[str, int] = OrderedDict()

    def handle(self, request: Request, deadline: float) -> Reply:
        """Put shopping on the list; ask the conversation agent everything else."""
        if request.kind != "shopping":
            return self._converse(request, deadline)
        if request.intent == "ShoppingOrder" or not request.items:
            return unsupported(request)  # it has a list, but it sells nothing
        self._add(request.id, request.items, time.monotonic() + deadline)
        return reply(request)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _add(self, request_id: str, items: list[Item], until: float) -> None:
        """Put items on the list; after a failure in the middle, go on where it was."""
        with self._lock:
            done = self._added.pop(request_id, 0)
        try:
            for item in items[done:]:
                left = until - time.monotonic()
                if left < 0.1:
                    raise BridgeUnavailableError("no time for the rest of the list")
                self._post("services/shopping_list/add_item", left, {"name": _name(item)})
                done += 1
        except BridgeUnavailableError:  # the panel will ask again
            with self._lock:
                self._added[request_id] = done
                while len(self._added) > _SESSIONS:
                    self._added.popitem(last=False)
            raise

    def _converse(self, request: Request, deadline: float) -> Reply:
        with self._lock:
            conversation = self._conversations.get(request.session)
        body: dict[str, Any] = {"text": request.text, "language": request.language}
        if conversation is not None:
            body["conversation_id"] = conversation
        if self._settings.agent:
            body["agent_id"] = self._settings.agent
        answer = self._post("conversation/process", deadline, body)
        try:
            said = msgspec.convert(answer, _Conversation)
        except msgspec.ValidationError as error:
            raise BridgeError(f"Home Assistant's answer is not as it should be: {error}") from None
        if said.conversation_id is not None:
            self._remember(request.session, said.conversation_id)
        speech = str(said.response.speech.get("plain", {}).get("speech") or "") or None
        if said.response.response_type == "error":
            if said.response.data.get("code") == "no_intent_match":
                return unsupported(request)
            return reply(request, speech, status="failed")
        return reply(request, speech, expect_answer=said.continue_conversation)

    def _remember(self, session: str, conversation: str) -> None:
        with self._lock:
            self._conversations[session] = conversation
            while len(self._conversations) > _SESSIONS:
                self._conversations.popitem(last=False)

    def _post(self, path: str, deadline: float, body: dict[str, Any]) -> Any:
        return post(self._http, f"{self._settings.url.rstrip('/')}/api/{path}", deadline, json=body)


def _name(item: Item) -> str:
    """How an item stands on the list: "우유 2병"."""
    if item.unit:
        return f"{item.name} {item.quantity}{item.unit}"
    return item.name if item.quantity == 1 else f"{item.name} {item.quantity}"
