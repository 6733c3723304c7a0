"""Settings: what may stand in the TOML files, checked when they are loaded.

Each class is a table of the file and each attribute a key, explained where it stands. A key that is
unknown, a value of the wrong type and a value that cannot be are refused with file, key and remedy
(:class:`soripan.exc.ConfigError`); nothing is guessed.
"""

import datetime
import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from soripan.exc import ConfigError

Identifier = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A name that can be one level of an MQTT topic: lower-case letters, digits, ``-`` and ``_``."""

Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(gt=0.0, le=3600.0)]
Pin = Annotated[int, Meta(ge=0, le=27)]
"""A GPIO number in Broadcom (BCM) counting, as printed on ``pinout``."""
Celsius = Annotated[int, Meta(ge=-40, le=30)]


RESERVED = frozenset({"shopping"})
"""What no appliance can be called, because the panel has state topics of its own under it."""


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables: unknown keys are refused, values cannot change after loading."""


class PanelSettings(Table, frozen=True):
    """``[panel]``: who this panel is."""

    id: Identifier
    """Its id: the ``<p>`` of every topic. Unique in the home."""
    language: Literal["ko", "en"] = "ko"
    """The language spoken to it."""
    appliances: list[str] = field(default_factory=lambda: ["fridge.toml", "tv.toml"])
    """The files of its appliances, relative to this file."""
    state: str = ""
    """Folder for what must survive a power failure; empty: the systemd state directory, else
    ``~/.local/state/soripan``."""


class AudioSettings(Table, frozen=True):
    """``[audio]``: ears and mouth."""

    device: str = ""
    """The microphone: a part of its name as ``soripan doctor`` lists it; empty: the default one."""
    earcons: bool = True
    """Whether to play the short sounds (heard you, done, sorry)."""
    output_device: str = ""
    """Where to play them, and to speak; empty: the default one."""
    queue: Annotated[float, Meta(ge=0.5, le=30.0)] = 5.0
    """Seconds of sound that may wait for the pipeline. More is dropped and logged, oldest first."""


class WakeWordSettings(Table, frozen=True):
    """``[[wake.words]]``: one wake word and whom it addresses."""

    model: str = ""
    """With the engine ``openwakeword``: a wake-word model of the registry (``soripan models list``)
    or the path of an ONNX file."""
    phrase: str = ""
    """With the engine ``phrase``: the words, such as "하이 소리"."""
    assistant: Identifier = "panel"
    """Whom it addresses: ``panel`` is the panel itself, any other name an assistant behind MQTT."""
    threshold: Probability = 0.5
    """The smoothed score that counts as heard. Higher: fewer false alarms, more misses."""
    smoothing: Annotated[int, Meta(ge=1, le=25)] = 1
    """Over how many frames (80 ms each) the score is averaged."""
    refractory: Annotated[float, Meta(ge=0.0, le=60.0)] = 2.0
    """Seconds after a hit in which the word is not heard again."""


class WakeSettings(Table, frozen=True):
    """``[wake]``: what wakes the panel."""

    engine: Literal["openwakeword", "phrase"] = "openwakeword"
    """The detector. ``phrase`` takes any words, by a recogniser of its own: no training, but more
    work for the processor."""
    gate: bool = True
    """Whether the detector rests while nothing is louder than the noise of the room."""
    gate_margin: Annotated[float, Meta(ge=1.0, le=20.0)] = 4.0
    """Decibels over that noise which wake it up. Higher: rests more, and may miss quiet words."""
    pre_roll: Annotated[float, Meta(ge=0.0, le=3.0)] = 0.08
    """Seconds before the hit that the recogniser gets too, so that a command spoken in one breath
    with the wake word is whole. Words that ended before the wake word did are left out again."""
    words: Annotated[list[WakeWordSettings], Meta(min_length=1, max_length=8)] = field(
        default_factory=lambda: [
            WakeWordSettings(model="hey_jarvis_v0.1", assistant="panel"),
            WakeWordSettings(model="alexa_v0.1", assistant="alexa"),
        ]
    )
    """The wake words, all listened for at once."""

    def __post_init__(self) -> None:
        wanted, other = ("phrase", "model") if self.engine == "phrase" else ("model", "phrase")
        for word in self.words:
            if not getattr(word, wanted).strip() or getattr(word, other):
                raise ValueError(f"each of `words` needs `{wanted}`, and no `{other}`, here")


class AsrSettings(Table, frozen=True):
    """``[asr]``: the recogniser."""

    model: str = ""
    """A model of the registry or a folder; empty: the small model of the panel's language."""
    graph: Literal["auto", "full", "medium", "lite", "stock"] = "auto"
    """The size of the listening graph, which the panel builds from the model and the sentences when
    either changes. ``full`` and ``medium`` also write down what is no command, ``lite`` does not;
    ``auto`` is the largest for which this board has the memory. ``stock``: no such graph but the
    model as it is, slower, larger and worse at commands."""
    alternatives: Annotated[int, Meta(ge=1, le=20)] = 10
    """How many readings of an utterance the parser gets to choose from."""
    noise_suppression: Annotated[int, Meta(ge=0, le=4)] = 3
    """How much of the noise of the room is taken out before the recogniser: 0 nothing, 4 most."""
    margin: Annotated[float, Meta(ge=0.0, le=20.0)] = 3.0
    """How much less likely than the likeliest reading a command may be and still count: the
    natural logarithm of the ratio. Lower: more is refused."""
    complete: Annotated[float, Meta(ge=0.08, le=5.0)] = 0.32
    """Seconds of silence after which a command that is complete, and that nothing said after it
    could change, is done."""
    pause: Annotated[float, Meta(ge=0.08, le=5.0)] = 0.8
    """Seconds of silence after which anything else is over."""
    no_speech: Seconds = 5.0
    """Seconds after the wake word in which speech must begin."""
    longest: Seconds = 15.0
    """Seconds after which an utterance is taken as it is."""


class SpeechSettings(Table, frozen=True):
    """``[speech]``: the panel's voice."""

    engine: Literal["espeak-ng", "command", "off"] = "espeak-ng"
    """The program that speaks. Off: what the panel says is only on MQTT and in the terminal."""
    speed: Annotated[int, Meta(ge=80, le=450)] = 160
    """Words a minute, of ``espeak-ng``."""
    command: list[str] = []
    """With the engine ``command``: a program and its arguments, which reads a sentence from its
    standard input (UTF-8) and writes a WAV file to its standard output."""
    timeout: Seconds = 10.0
    """Seconds it may take for a sentence."""

    def __post_init__(self) -> None:
        if (self.engine == "command") != bool(self.command and self.command[0]):
            raise ValueError('`command` goes with `engine = "command"`, and only with that')


class LanguageSettings(Table, frozen=True):
    """``[language]``: the sentences."""

    folder: str = "language"
    """Folder of the sentence templates, relative to this file; holds ``ko`` and ``en``."""


class ModelSettings(Table, frozen=True):
    """``[models]``: where models are kept."""

    folder: str = ""
    """Empty: the systemd state directory, else ``~/.cache/soripan/models``."""


class MqttSettings(Table, frozen=True):
    """``[mqtt]``: the broker."""

    host: Annotated[str, Meta(min_length=1)] = "localhost"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    prefix: Annotated[str, Meta(pattern=r"^[^+#/$][^+#]*$")] = "soripan"
    """First level of every topic."""
    username: str = ""
    password_file: str = ""
    """File that holds the password and nothing else. The name of a systemd credential works too."""
    tls: bool = False
    ca_file: str = ""
    """Certificate authority to trust, with ``tls``; empty: those of the system."""
    keepalive: Annotated[int, Meta(ge=5, le=3600)] = 30
    """Seconds without traffic after which the broker takes the panel for gone."""
    queue: Annotated[int, Meta(ge=1, le=65535)] = 1000
    """Messages that may wait to be sent. More events and states are dropped and logged; requests
    wait in the outbox."""


class AssistantSettings(Table, frozen=True):
    """``[router.assistants.NAME]``: what is particular about one assistant."""

    deadline: Seconds | None = None
    """Seconds it has to answer; left out: ``[router] deadline``."""
    presence: bool = True
    """Whether its bridge says on MQTT that it is there. If not, it is taken to be."""
    reply: bool = True
    """Whether it answers. If not, a request is done when the broker has it."""


class RouterSettings(Table, frozen=True):
    """``[router]``: who gets what the panel cannot do itself. Lists are in order of preference."""

    unresolved: Annotated[list[Identifier], Meta(min_length=1)] = field(
        default_factory=lambda: ["alexa", "google"]
    )
    """What nobody understood, and questions."""
    shopping: Annotated[list[Identifier], Meta(min_length=1)] = field(
        default_factory=lambda: ["alexa", "google"]
    )
    """Orders and shopping lists."""
    home: Identifier = "home"
    """Who is asked about an appliance that this panel does not have."""
    expiry: Annotated[int, Meta(ge=1, le=3600)] = 30
    """Seconds after which a question that nobody answered is dropped (shopping never is)."""
    deadline: Seconds = 8.0
    """Seconds that an assistant has to answer, before a question goes to the next one."""
    outbox: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """Requests that may be under way at once. More are refused, and said so."""
    assistants: dict[Identifier, AssistantSettings] = {}
    """What is particular about an assistant, by its name."""
    min_confidence: Probability = 0.2
    """An utterance recognised with less than this is refused instead of sent to somebody."""


class ShoppingSettings(Table, frozen=True):
    """``[shopping]``: what may be ordered, and how it is confirmed."""

    orders: Literal["off", "confirm", "pin"] = "confirm"
    """``confirm``: ordered after a spoken yes; ``pin``: after a yes and the spoken PIN."""
    pin_file: str = ""
    """File that holds the PIN, four to eight digits. The name of a systemd credential works too."""
    order_from: datetime.time | None = None
    order_until: datetime.time | None = None
    """The time of day, local, in which orders are taken; over midnight if ``from`` is later."""
    max_quantity: Annotated[int, Meta(ge=1, le=1000)] = 20
    """The most of one thing that can be ordered at once."""
    while_tv_plays: bool = False
    """Whether orders without a PIN are taken while a TV of this panel is on and not muted: somebody
    in a broadcast could be the one who orders."""
    answer: Annotated[float, Meta(ge=2.0, le=60.0)] = 8.0
    """Seconds to answer a question of the panel or of an assistant, without a wake word."""
    remember: Annotated[int, Meta(ge=1, le=365)] = 7
    """Days that something stays on the shopping list."""

    def __post_init__(self) -> None:
        if (self.orders == "pin") != bool(self.pin_file):
            raise ValueError('`pin_file` goes with `orders = "pin"`, and only with that')
        if (self.order_from is None) != (self.order_until is None):
            raise ValueError("`order_from` and `order_until` go together")


class PrivacySettings(Table, frozen=True):
    """``[privacy]``: what becomes of sound."""

    keep_audio: bool = False
    """Write each utterance to ``recordings/`` in the state folder. Off: sound is never on disk."""


class GpioSettings(Table, frozen=True):
    """``[gpio]``: the panel's own switches and lights."""

    mute_button: Pin | None = None
    """A switch to ground that mutes the microphone while it is closed."""
    mute_led: Pin | None = None
    """Lit while the microphone is muted."""


class RelayPin(Table, frozen=True, tag_field="type", tag="relay"):
    """A relay or another digital output, on while the property is ``on``."""

    pin: Pin
    active_high: bool = True


class LedPin(Table, frozen=True, tag_field="type", tag="led"):
    """An LED, lit while the property is ``on``."""

    pin: Pin
    active_high: bool = True


class SwitchPin(Table, frozen=True, tag_field="type", tag="switch"):
    """A contact to ground, such as a door switch, closed while the property is ``closed``."""

    pin: Pin
    bounce: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.05
    """Seconds for which the contact must rest before a change of it counts."""


OutputPin = RelayPin | LedPin
AnyPin = OutputPin | SwitchPin


class Pins(Table, frozen=True):
    """Base of the ``[gpio]`` tables of appliances: each key is a property, each value its pin."""

    def items(self) -> list[tuple[str, AnyPin]]:
        """The properties that are on a pin."""
        pins = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, pin) for name, pin in pins if pin is not None]


class FridgePins(Pins, frozen=True):
    """``[gpio]`` of a fridge. What is on no pin is only remembered."""

    ice_maker: OutputPin | None = None
    power_cool: OutputPin | None = None
    power_freeze: OutputPin | None = None
    fridge_light: OutputPin | None = None
    vacation_mode: OutputPin | None = None
    fridge_door: SwitchPin | None = None
    freezer_door: SwitchPin | None = None


class TvPins(Pins, frozen=True):
    """``[gpio]`` of a TV. What is on no pin is only remembered."""

    power: OutputPin | None = None
    mute: OutputPin | None = None


class FridgeSettings(Table, frozen=True, tag_field="kind", tag="fridge"):
    """A fridge's file."""

    id: Identifier = "fridge"
    """Its ``<appliance>`` in the topics."""
    driver: Literal["simulated", "gpio"] = "simulated"
    """``simulated`` keeps everything in memory, ``gpio`` switches pins."""
    fridge_min: Celsius = 1
    fridge_max: Celsius = 7
    """Limits of the fridge compartment's set temperature, degrees Celsius."""
    freezer_min: Celsius = -23
    freezer_max: Celsius = -15
    """Limits of the freezer's set temperature, degrees Celsius."""
    gpio: FridgePins = FridgePins()
    """Which property is on which pin, with ``driver = "gpio"``."""


class TvSettings(Table, frozen=True, tag_field="kind", tag="tv"):
    """A TV's file."""

    id: Identifier = "tv"
    driver: Literal["simulated", "gpio"] = "simulated"
    volume_max: Annotated[int, Meta(ge=1, le=100)] = 100
    """The loudest the panel may set."""
    volume_step: Annotated[int, Meta(ge=1, le=50)] = 5
    """How much "louder" and "quieter" change."""
    apps: list[Identifier] = field(
        default_factory=lambda: ["netflix", "youtube", "tving", "wavve", "disney_plus"]
    )
    """The apps that can be launched; ``none`` is the name for no app."""
    gpio: TvPins = TvPins()
    """Which property is on which pin, with ``driver = "gpio"``."""

    def __post_init__(self) -> None:
        if "none" in self.apps or len(set(self.apps)) < len(self.apps):
            raise ValueError("`apps` holds “none”, or an app twice")


ApplianceSettings = FridgeSettings | TvSettings


class Settings(Table, frozen=True):
    """``panel.toml``."""

    panel: PanelSettings
    audio: AudioSettings = AudioSettings()
    wake: WakeSettings = WakeSettings()
    asr: AsrSettings = AsrSettings()
    speech: SpeechSettings = SpeechSettings()
    language: LanguageSettings = LanguageSettings()
    models: ModelSettings = ModelSettings()
    mqtt: MqttSettings = MqttSettings()
    router: RouterSettings = RouterSettings()
    shopping: ShoppingSettings = ShoppingSettings()
    privacy: PrivacySettings = PrivacySettings()
    gpio: GpioSettings = GpioSettings()


class Config(Struct, frozen=True, kw_only=True):
    """All settings of a panel, with the files they came from."""

    path: Path
    """``panel.toml``."""
    settings: Settings
    appliances: tuple[ApplianceSettings, ...]

    @property
    def language_folder(self) -> Path:
        """Folder of the sentence templates of all languages."""
        return self.path.parent / self.settings.language.folder

    @property
    def models_folder(self) -> Path:
        """Folder the models are kept in."""
        return (
            Path(self.settings.models.folder).expanduser()
            if (self.settings.models.folder)
            else default_models_folder()
        )

    @property
    def graphs_folder(self) -> Path:
        """Folder the listening graphs are kept in."""
        return self.models_folder / "graphs"

    @property
    def state_folder(self) -> Path:
        """Folder for what must survive a power failure."""
        if self.settings.panel.state:
            return Path(self.settings.panel.state).expanduser()
        if directory := os.environ.get("STATE_DIRECTORY"):
            return Path(directory)
        return _xdg("XDG_STATE_HOME", ".local/state") / "soripan"


def bridge_state_folder(assistant: str) -> Path:
    """Where a bridge keeps what must survive a power failure, unless its file says otherwise."""
    if directory := os.environ.get("STATE_DIRECTORY"):
        return Path(directory)
    return _xdg("XDG_STATE_HOME", ".local/state") / f"soripan-bridge-{assistant}"


def default_models_folder() -> Path:
    """Where models are kept unless the config says otherwise."""
    if directory := os.environ.get("SORIPAN_MODELS"):
        return Path(directory)
    if directory := os.environ.get("STATE_DIRECTORY"):
        return Path(directory) / "models"
    return _xdg("XDG_CACHE_HOME", ".cache") / "soripan" / "models"


def default_config_file() -> Path:
    """The config used when none is named: ``/etc/soripan``, else the one beside the source."""
    installed = Path("/etc/soripan/panel.toml")
    return installed if installed.exists() else Path(__file__).parents[2] / "config/panel.toml"


def load(path: Path) -> Config:
    """Read ``panel.toml`` and the appliance files it names.

    Raises:
        ConfigError: a file is missing or broken, a key unknown, a value wrong.
    """
    settings: Settings = load_table(path, Settings)
    appliances: list[ApplianceSettings] = []
    seen: dict[str, Path] = {}
    for name in settings.panel.appliances:
        file = path.parent / name
        if not file.exists():
            raise ConfigError(
                path, "panel.appliances", f"{file}: no such file", "correct its name, or remove it"
            )
        appliance: ApplianceSettings = load_table(file, ApplianceSettings)
        _check_appliance(file, appliance)
        if appliance.id in RESERVED:
            problem = f"“{appliance.id}” is taken by the panel itself"
            raise ConfigError(file, "id", problem, "choose another one")
        if appliance.id in seen:
            raise ConfigError(
                file,
                "id",
                f"“{appliance.id}” is also the id in {seen[appliance.id]}",
                "give each appliance an id of its own",
            )
        seen[appliance.id] = file
        appliances.append(appliance)
    return Config(path=path, settings=settings, appliances=tuple(appliances))


def load_table(path: Path, kind: Any) -> Any:
    """Read a TOML file into a :class:`Table`, or a union of them.

    Raises:
        ConfigError: the file is missing or broken, a key unknown, a value wrong.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(path, "", "no such file", "name it with --config") from None
    except OSError as error:
        raise ConfigError(path, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, "", f"is not UTF-8: {error.reason}", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, "", f"is not TOML: {error}") from None
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise _explain(path, raw, kind, str(error)) from None


def _check_appliance(path: Path, appliance: ApplianceSettings) -> None:
    if isinstance(appliance, FridgeSettings):
        for zone in ("fridge", "freezer"):
            if getattr(appliance, f"{zone}_min") >= getattr(appliance, f"{zone}_max"):
                raise ConfigError(
                    path, f"{zone}_min", f"is not below {zone}_max", "swap the two limits"
                )
    pins: dict[int, str] = {}
    for name, setting in appliance.gpio.items():
        if setting.pin in pins:
            raise ConfigError(
                path,
                f"gpio.{name}.pin",
                f"pin {setting.pin} is taken by {pins[setting.pin]}",
                "give each property a pin of its own",
            )
        pins[setting.pin] = name


_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")


def _explain(path: Path, raw: dict[str, Any], kind: Any, message: str) -> ConfigError:
    """Turn msgspec's message into file, key, problem and remedy."""
    problem, _, where = message.partition(" - at `")
    where = where.rstrip("`").removeprefix("$").removeprefix(".")
    if unknown := _UNKNOWN.search(problem):
        name = unknown["name"]
        near = difflib.get_close_matches(name, _fields_at(kind, where, raw), n=1)
        remedy = f"did you mean “{near[0]}”?" if near else "remove it, or look it up in config/"
        return ConfigError(path, f"{where}.{name}".strip("."), "there is no such key", remedy)
    if missing := _MISSING.search(problem):
        return ConfigError(path, f"{where}.{missing['name']}".strip("."), "is missing", "add it")
    remedy = "look it up in the commented files in config/"
    return ConfigError(path, where, problem[0].lower() + problem[1:], remedy)


def _fields_at(kind: Any, where: str, raw: Any) -> list[str]:
    """The keys that may stand at ``where``, for a "did you mean"."""
    level = _structs(msgspec.inspect.type_info(kind), raw)
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", where):
        if step.startswith("["):
            continue  # an element of the list that the step before led to
        raw = raw.get(step) if isinstance(raw, dict) else None
        level = [
            struct
            for outer in level
            for each in outer.fields
            if each.encode_name == step
            for struct in _structs(each.type, raw)
        ]
    return [each.encode_name for struct in level for each in struct.fields]


def _structs(info: msgspec.inspect.Type, raw: Any) -> list[msgspec.inspect.StructType]:
    """The tables that may stand where a type is wanted; of several, those of the tag in ``raw``."""
    if isinstance(info, msgspec.inspect.ListType):
        info = info.item_type
    candidates = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    structs = [each for each in candidates if isinstance(each, msgspec.inspect.StructType)]
    tagged = raw if isinstance(raw, dict) else {}
    return [s for s in structs if s.tag_field and tagged.get(s.tag_field) == s.tag] or structs


def _xdg(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default)
