"""A whole panel as it runs at home: `soripan run`, with a microphone that hears and a broker.

Only the room, the fridge and the TV are simulated. The recordings are found by their labels.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

from soripan.config import default_models_folder
from support.broker import Broker, Monitor
from support.sound import MICROPHONE, SPEAKER, SoundServer

TESTS = Path(__file__).parent
CONFIG = TESTS.parent / "config"
AVAILABILITY = "soripan/kitchen/availability"
START = 180.0
"""Seconds that a panel may take until it listens; the first one may build its listening graph."""
WAIT = 40.0
"""Seconds that anything else may take on a busy machine."""


class PanelProcess:
    """`soripan run` in a process of its own, with the settings in a folder of its own.

    Args:
        folder: its settings and state; may be that of a panel which ran before.
        sound: where its microphone is.
        port: of its broker.
        device: the microphone in its settings.
        speech: the table of its voice, in its settings.
    """

    def __init__(
        self,
        folder: Path,
        sound: SoundServer,
        port: int,
        device: str = MICROPHONE,
        **speech: Any,
    ) -> None:
        settings = _settings(folder, port, device, {"engine": "off"} | speech)
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "soripan", "run", "--json", "--config", settings],
                env=sound.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def errors(self) -> str:
        """What it has written on standard error."""
        return self._err.read_text()

    def results(self) -> list[dict[str, Any]]:
        """What it has printed about each utterance so far."""
        lines = self._out.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line[0] == "{" and line[-1] == "\n"]

    def wait_until_listening(self) -> None:
        """Wait for the line that says so."""
        self._wait(lambda: "soripan: listening for" in self._out.read_text(), START)

    def wait_for_result(self) -> dict[str, Any]:
        """Wait until it has printed what came of an utterance; return the last."""
        self._wait(lambda: bool(self.results()), WAIT)
        return self.results()[-1]

    def end(self) -> int:
        """Ask it to stop, as systemd does; return its exit status."""
        self._process.terminate()
        return self._process.wait(10)

    def exit_status(self) -> int:
        """Wait until it stops by itself."""
        return self._process.wait(WAIT)

    def kill(self) -> None:
        """Stop it as a power failure does."""
        self._process.kill()
        self._process.wait()

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"the panel does not do it: {self.errors}")
            time.sleep(0.05)


def _settings(folder: Path, port: int, device: str, speech: dict[str, Any]) -> Path:
    """Write the settings that a panel comes with, but for the sound, the broker and the folders."""
    config = folder / "config"
    shutil.copytree(CONFIG, config, dirs_exist_ok=True)
    file = config / "panel.toml"
    text = file.read_text()
    for section, key, value in (
        ("panel", "state", str(folder / "state")),
        ("audio", "device", device),
        ("audio", "earcons", False),
        *(("speech", key, value) for key, value in speech.items()),
        ("models", "folder", str(default_models_folder().absolute())),
        ("mqtt", "host", Broker.host),
        ("mqtt", "port", port),
    ):
        line = re.search(rf"(?ms)^\[{section}\]$(?:(?!^\[).)*?^{key} = ([^\n]*)", text)
        assert line, f"panel.toml has no {section}.{key}"
        text = text[: line.start(1)] + json.dumps(value) + text[line.end(1) :]
    file.write_text(text)
    return file


def recording(**wanted: Any) -> Path:
    """The first recording of the demo, or of a wake word alone, with such a label."""
    labels: list[dict[str, Any]] = yaml.safe_load(
        (TESTS / "audio/labels.yaml").read_text(encoding="utf-8")
    )
    for label in labels:
        alone = label["file"].startswith(("demo/", "wake/"))
        if alone and all(label[name] == value for name, value in wanted.items()):
            return TESTS / "audio" / str(label["file"])
    raise LookupError(f"no recording with {wanted}")


def event(monitor: Monitor, name: str, **wanted: Any) -> dict[str, Any]:
    """Wait for an event on MQTT that has these fields."""
    topic = f"soripan/kitchen/event/{name}"
    message = monitor.wait(
        lambda m: m.topic == topic and wanted.items() <= json.loads(m.text).items(), WAIT
    )
    fields: dict[str, Any] = json.loads(message.text)
    return fields


def state(monitor: Monitor, name: str, value: str) -> None:
    """Wait until a state topic has a value that the broker keeps."""
    topic = f"soripan/kitchen/state/{name}"
    assert monitor.wait_for(topic, value, WAIT).retain


TV_ON = {"wake_word": "hey_jarvis", "intent": "TurnOn", "slots": {"target": "tv"}}
WAKE_WORD = {"wake_word": "hey_jarvis", "text": "", "speed": 1.15}


@pytest.fixture(scope="module")
def sound() -> Iterator[SoundServer]:
    with SoundServer() as running:
        yield running


@pytest.fixture(scope="module")
def running(sound: SoundServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """A client of the broker of a panel that listens."""
    with (
        Broker() as broker,
        Monitor(broker.host, broker.port) as monitor,
        PanelProcess(tmp_path_factory.mktemp("panel"), sound, broker.port) as panel,
    ):
        panel.wait_until_listening()
        assert monitor.wait_for(AVAILABILITY, "online", WAIT).retain
        yield monitor


class TestRunning:
    def test_does_what_is_said(self, running: Monitor, sound: SoundServer) -> None:
        running.clear()
        sound.play(recording(**TV_ON))
        session = event(running, "action")["session"]
        wake = event(running, "wake", session=session)
        assert (wake["wake_word"], wake["assistant"]) == ("hey_jarvis", "panel")
        event(running, "listening", session=session, state="started")
        event(running, "listening", session=session, state="ended", reason="complete")
        transcript = event(running, "transcript", session=session)
        intent = event(running, "intent", session=session)
        assert transcript["text"] == intent["text"]
        assert (intent["intent"], intent["slots"]) == ("TurnOn", {"target": "tv"})
        action = event(running, "action", session=session)
        assert (action["appliance"], action["changes"]) == ("tv", {"power": "on"})
        assert action["speech"]
        state(running, "tv/power", "on")

    def test_wake_word_and_then_nothing(self, running: Monitor, sound: SoundServer) -> None:
        running.clear()
        sound.play(recording(**WAKE_WORD))
        session = event(running, "wake")["session"]
        event(running, "listening", session=session, state="ended", reason="no_speech")
        assert event(running, "error", session=session, code="no_speech")["speech"]

    def test_does_what_is_set_over_mqtt(self, running: Monitor) -> None:
        running.clear()
        running.publish("soripan/kitchen/set/fridge/fridge_temperature", "5")
        state(running, "fridge/fridge_temperature", "5")

    def test_refuses_what_cannot_be_set(self, running: Monitor) -> None:
        running.publish("soripan/kitchen/set/fridge/fridge_temperature", "4")
        state(running, "fridge/fridge_temperature", "4")
        running.clear()
        running.publish("soripan/kitchen/set/fridge/fridge_temperature", "99")
        assert "99" in event(running, "error")["message"]
        state(running, "fridge/fridge_temperature", "4")


@pytest.fixture
def echo(sound: SoundServer) -> Iterator[None]:
    """The microphone hears the loudspeaker."""
    sink = f"source={SPEAKER}.monitor"
    module = sound.control("load-module", "module-loopback", sink, "sink=room", "latency_msec=80")
    yield
    sound.control("unload-module", module.strip())


@pytest.mark.usefixtures("echo")
class TestVoice:
    def test_asks_aloud_and_hears_the_answer_not_itself(
        self, sound: SoundServer, broker: Broker, tmp_path: Path
    ) -> None:
        with (
            Monitor(broker.host, broker.port) as monitor,
            PanelProcess(tmp_path, sound, broker.port, engine="espeak-ng") as panel,
        ):
            panel.wait_until_listening()
            sound.play(TESTS / "audio/demo/12_hey_jarvis_ShoppingOrder.flac")
            assert event(monitor, "question")["about"] == "order"
            asked = time.monotonic()
            monitor.clear()
            event(monitor, "listening", state="started")
            assert time.monotonic() - asked > 1.5  # so long does it speak
            sound.play(TESTS / "audio/commands/070_Yes_tebukuro.flac")
            assert event(monitor, "request")["kind"] == "shopping"
            names = [m.topic.rpartition("/")[2] for m in monitor.messages]
            assert names.count("transcript") == 1

    def test_its_own_voice_is_no_answer(
        self, sound: SoundServer, broker: Broker, tmp_path: Path
    ) -> None:
        with (
            Monitor(broker.host, broker.port) as monitor,
            PanelProcess(tmp_path, sound, broker.port, engine="espeak-ng") as panel,
        ):
            panel.wait_until_listening()
            sound.play(TESTS / "audio/demo/12_hey_jarvis_ShoppingOrder.flac")
            event(monitor, "question")
            monitor.clear()
            # Nobody answers, and the panel's own voice does not count.
            assert event(monitor, "error")["code"] == "no_speech"

    def test_a_wake_word_interrupts_it_but_not_its_own_words(
        self, sound: SoundServer, broker: Broker, tmp_path: Path
    ) -> None:
        """Whatever it says sounds like "alexa", by a person with a loud voice."""
        alexa = recording(wake_word="alexa", text="", speed=1.15)
        with (
            Monitor(broker.host, broker.port) as monitor,
            PanelProcess(
                tmp_path, sound, broker.port, engine="command", command=["cat", str(alexa)]
            ) as panel,
        ):
            monitor.publish("soripan/bridges/alexa/availability", "online", retain=True)
            panel.wait_until_listening()
            sound.play(TESTS / "audio/demo/20_alexa_unresolved.flac")
            assert "알렉사" in event(monitor, "request")["speech"]
            monitor.clear()
            time.sleep(4)
            names = [m.topic.rpartition("/")[2] for m in monitor.messages]
            assert "wake" not in names
            sound.play(recording(**TV_ON))
            assert "알렉사" not in event(monitor, "action")["speech"]
            event(monitor, "wake", assistant="alexa")


class TestTrouble:
    def test_broker_comes_late(self, sound: SoundServer, broker: Broker, tmp_path: Path) -> None:
        broker.stop()
        with PanelProcess(tmp_path, sound, broker.port) as panel:
            panel.wait_until_listening()
            sound.play(recording(**TV_ON))
            result = panel.wait_for_result()
            assert (result["intent"], result["decision"]) == ("TurnOn", "local")
            broker.start()
            with Monitor(broker.host, broker.port) as monitor:
                monitor.wait_for(AVAILABILITY, "online", WAIT)
                state(monitor, "tv/power", "on")
                assert panel.end() == 0
                monitor.wait_for(AVAILABILITY, "offline", WAIT)

    def test_power_failure(self, sound: SoundServer, broker: Broker, tmp_path: Path) -> None:
        with Monitor(broker.host, broker.port) as monitor:
            with PanelProcess(tmp_path, sound, broker.port) as panel:
                panel.wait_until_listening()
                monitor.wait_for(AVAILABILITY, "online", WAIT)
                monitor.publish("soripan/kitchen/set/fridge/fridge_temperature", "6")
                state(monitor, "fridge/fridge_temperature", "6")
                _wait_for_disk(tmp_path, '"fridge_temperature":"6"')
                panel.kill()
            assert monitor.wait_for(AVAILABILITY, "offline", WAIT).retain
            monitor.clear()
            with PanelProcess(tmp_path, sound, broker.port) as panel:
                panel.wait_until_listening()
                monitor.wait_for(AVAILABILITY, "online", WAIT)
                state(monitor, "fridge/fridge_temperature", "6")
                values = [
                    m.text for m in monitor.messages if m.topic.endswith("/fridge_temperature")
                ]
                assert set(values) == {"6"}

    def test_no_microphone(self, sound: SoundServer, broker: Broker, tmp_path: Path) -> None:
        with PanelProcess(tmp_path, sound, broker.port, device="gramophone") as panel:
            assert panel.exit_status() == 69
            complaint = [line for line in panel.errors.splitlines() if "..." not in line]
            assert len(complaint) == 1
            assert complaint[0].startswith("soripan: ")
            assert "gramophone" in complaint[0]


def _wait_for_disk(folder: Path, text: str) -> None:
    """Wait until the state is written, which the panel does not wait for."""
    file = folder / "state/appliance-fridge.json"
    deadline = time.monotonic() + WAIT
    while not (file.exists() and text in file.read_text()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file} never gets {text}")
        time.sleep(0.05)
