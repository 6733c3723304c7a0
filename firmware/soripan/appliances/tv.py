"""A TV.

What it does of itself, whether it is asked by voice or over MQTT:

- A channel, an input or an app chosen while it is off switches it on: whoever names one wants to
  see it. A channel shows on the input ``tv``; a channel or an input ends the app.
- Volume and mute are refused while it is off (``tv_off``): nobody would hear that it worked, and
  the TV would startle the room later.
- Off forgets mute and app. Somebody who says "louder", or names a volume above 0, ends mute too;
  "quieter" does not, nor does a volume set over MQTT, where mute is a control of its own.
- Louder and quieter stop at the ends, channels go round: after 999 comes 1.
"""

from collections.abc import Mapping
from typing import Any

from soripan.appliances.appliance import Appliance, Change, Outcome, register
from soripan.appliances.driver import Driver
from soripan.appliances.property import Choice, Number, OnOff, Property
from soripan.config import TvSettings
from soripan.events import EventBus
from soripan.exc import PropertyValueError
from soripan.store import Store

NO_APP = "none"


@register(TvSettings)
class Tv(Appliance):
    """A TV; see the module for what it does of itself."""

    kind = "tv"
    responses = frozenset(
        {
            "turned_on",
            "turned_off",
            "volume_set",
            "volume_highest",
            "volume_lowest",
            "muted",
            "unmuted",
            "channel_set",
            "input_set",
            "app_launched",
            "tv_off",
        }
    )

    def __init__(
        self, settings: TvSettings, driver: Driver, bus: EventBus, store: Store | None = None
    ) -> None:
        loudest = settings.volume_max
        self._power = OnOff("power", default=False)
        self._volume = Number("volume", min(20, loudest), low=0, high=loudest)
        self._mute = OnOff("mute", default=False, volatile=True)
        self._channel = Number("channel", 1, low=1, high=999)
        self._input = Choice("input", "tv", choices=("tv", "hdmi1", "hdmi2", "hdmi3", "hdmi4"))
        self._app = Choice("app", NO_APP, volatile=True, choices=(NO_APP, *settings.apps))
        self._step = settings.volume_step
        properties = (
            self._power,
            self._volume,
            self._mute,
            self._channel,
            self._input,
            self._app,
        )
        super().__init__(settings.id, properties, driver, bus, store)

    def handle(self, intent: str, slots: Mapping[str, Any]) -> Outcome | None:
        """Do what somebody said; see :meth:`Appliance.handle`."""
        match intent:
            case "TurnOn" | "TurnOff" if slots["target"] == "tv":
                on = intent == "TurnOn"
                changes = self._change(self._power, on)
                return Outcome("turned_on" if on else "turned_off", {"target": "tv"}, changes)
            case "SetVolume" | "ChangeVolume" | "Mute":
                return self._sound(intent, slots)
            case "SetChannel" | "ChangeChannel" | "SetInput" | "LaunchApp":
                return self._picture(intent, slots)
        return None

    def _sound(self, intent: str, slots: Mapping[str, Any]) -> Outcome:
        if intent == "Mute":
            on = slots["state"] == "on"
            return Outcome("muted" if on else "unmuted", {}, self._change(self._mute, on))
        if intent == "ChangeVolume":
            return self._change_volume(slots["direction"])
        changes = dict(self._change(self._volume, slots["value"]))
        if slots["value"] > 0:
            changes |= self._change(self._mute, False)
        return Outcome("volume_set", {"value": slots["value"]}, changes)

    def _change_volume(self, direction: str) -> Outcome:
        """Take one step, as far as there is room; the answer says when the end is reached."""
        up = direction == "up"
        value = self._value(self._volume) + (self._step if up else -self._step)
        value = min(max(value, self._volume.low), self._volume.high)
        changes = dict(self._change(self._volume, value))
        if up:
            changes |= self._change(self._mute, False)
        ends = {(True, self._volume.high): "volume_highest", (False, 0): "volume_lowest"}
        return Outcome(ends.get((up, value), "volume_set"), {"value": value}, changes)

    def _picture(self, intent: str, slots: Mapping[str, Any]) -> Outcome:
        if intent == "SetInput":
            source = slots["input"]
            return Outcome("input_set", {"input": source}, self._change(self._input, source))
        if intent == "LaunchApp":
            app = slots["app"]
            return Outcome("app_launched", {"app": app}, self._change(self._app, app))
        if intent == "ChangeChannel":
            step = 1 if slots["direction"] == "up" else -1
            number = (self._value(self._channel) - 1 + step) % self._channel.high + 1
        else:
            number = slots["number"]
        return Outcome("channel_set", {"number": number}, self._change(self._channel, number))

    def _plan(self, prop: Property[Any], value: Any) -> list[Change]:
        """Add what a TV does of itself; see the module."""
        on: Change = (self._power, True)
        no_app: Change = (self._app, NO_APP)
        match prop.name:
            case "power" if not value:
                return [(prop, value), (self._mute, False), no_app]
            case "volume" | "mute" if not self._value(self._power):
                raise PropertyValueError(
                    f"{prop.name}: the TV is off", "tv_off", {"property": prop.name}
                )
            case "channel":
                return [on, no_app, (self._input, "tv"), (prop, value)]
            case "input":
                return [on, no_app, (prop, value)]
            case "app" if value != NO_APP:
                return [on, (prop, value)]
        return [(prop, value)]
