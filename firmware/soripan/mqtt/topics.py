"""The topics of panels and bridges. ``config/asyncapi.yaml`` describes what is on them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """Builds and takes apart the topics of a panel."""

    prefix: str
    """First level, or levels, of every topic."""
    panel: str
    """The panel's id."""

    @property
    def availability(self) -> str:
        """Whether the panel is there: ``online`` or ``offline``, retained."""
        return self._topic("availability")

    def state(self, appliance: str, name: str) -> str:
        """The value of the property ``name`` of an appliance, retained."""
        return self._topic("state", appliance, name)

    @property
    def set_filter(self) -> str:
        """All topics on which others set properties."""
        return self._topic("set", "+", "+")

    def parse_set(self, topic: str) -> tuple[str, str] | None:
        """Appliance and property that a set topic names; None if it is no set topic of ours."""
        head = self._topic("set", "")
        levels = topic.removeprefix(head).split("/")
        if not topic.startswith(head) or len(levels) != 2 or not all(levels):
            return None
        return levels[0], levels[1]

    def event(self, name: str) -> str:
        """Where events of this name are told."""
        return self._topic("event", name)

    def request(self, assistant: str) -> str:
        """Where the bridges of an assistant take requests from."""
        return self._topic("request", assistant)

    @property
    def reply(self) -> str:
        """Where bridges answer."""
        return self._topic("reply")

    @property
    def bridges_filter(self) -> str:
        """Where the bridges of all assistants say whether they are there."""
        return f"{self.prefix}/bridges/+/availability"

    def parse_bridge(self, topic: str) -> str | None:
        """The assistant whose availability is on a topic; None if it is none of those."""
        head, tail = f"{self.prefix}/bridges/", "/availability"
        assistant = topic.removeprefix(head).removesuffix(tail)
        if topic != f"{head}{assistant}{tail}" or not assistant or "/" in assistant:
            return None
        return assistant

    def _topic(self, *levels: str) -> str:
        return "/".join((self.prefix, self.panel, *levels))


@dataclass(frozen=True, slots=True)
class BridgeTopics:
    """The topics of the bridges of one assistant."""

    prefix: str
    assistant: str

    @property
    def availability(self) -> str:
        """Whether one of them is there: ``online`` or ``offline``, retained."""
        return f"{self.prefix}/bridges/{self.assistant}/availability"

    @property
    def metrics(self) -> str:
        """What they do, in numbers; retained, of whoever published last."""
        return f"{self.prefix}/bridges/{self.assistant}/metrics"

    @property
    def shared_filter(self) -> str:
        """The requests of all panels, shared among the bridges."""
        return f"$share/{self.assistant}/{self.request_topic('+')}"

    def request_topic(self, panel: str) -> str:
        """Where a panel's requests come in."""
        return f"{self.prefix}/{panel}/request/{self.assistant}"

    def reply_topic(self, panel: str) -> str:
        """Where a panel is answered."""
        return f"{self.prefix}/{panel}/reply"
