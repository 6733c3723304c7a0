"""`soripan doctor` finds what is not right and says how to mend it."""

import io
import re
import socket
from pathlib import Path

import pytest
from rich.console import Console

from soripan import cli, doctor
from soripan.asr.models import ModelStore
from soripan.mqtt.outbox import Outbox
from support.broker import Broker


def examine(file: Path) -> tuple[int, dict[str, str]]:
    """The exit status, and by check whether it is good, with the finding."""
    output = io.StringIO()
    status = doctor.examine(file, Console(file=output, width=60))
    lines = [
        re.fullmatch(r"(good|bad ) (.+?): (.*)", line) for line in output.getvalue().splitlines()
    ]
    assert all(lines), output.getvalue()
    return status, {
        f"{m[2]} {m[3].split()[0]}" if m[2] == "model" else m[2]: f"{m[1].strip()} {m[3]}"
        for m in lines
        if m
    }


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_without_broker_and_microphone(config_file: Path, models: ModelStore) -> None:
    change(config_file, "port = 1883", f"port = {free_port()}")
    change(config_file, 'host = "localhost"', 'host = "127.0.0.1"')
    change(config_file, 'device = ""', 'device = "gramophone"')
    status, found = examine(config_file)
    assert status == 1
    bad = {what for what, finding in found.items() if finding.startswith("bad")}
    assert bad == {"microphone", "broker"}
    assert "gramophone" in found["microphone"]
    assert "start the broker" in found["broker"]
    for name in ("vosk-model-small-ko-0.22", "alexa_v0.1", "hey_jarvis_v0.1", "embedding_model"):
        assert found[f"model {name}"] == f"good {name} is whole"
    assert found["appliance tv"] == "good driver simulated"


def test_outbox_and_orders(config_file: Path, tmp_path: Path) -> None:
    change(config_file, 'device = ""', 'device = "gramophone"')
    _, found = examine(config_file)
    assert found["outbox"] == "good nothing yet"
    assert found["orders"] == "good after a spoken yes"
    Outbox(tmp_path / "state").close()
    change(config_file, 'orders = "confirm"', 'orders = "pin"')
    change(config_file, 'pin_file = ""', f'pin_file = "{tmp_path / "pin"}"')
    _, found = examine(config_file)
    assert found["outbox"] == "good nothing is under way"
    assert found["orders"].startswith("bad")
    (tmp_path / "pin").write_text("12345")
    assert examine(config_file)[1]["orders"] == "good after a yes and the PIN"


def test_without_models(config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORIPAN_MODELS", str(tmp_path / "none"))
    change(config_file, 'device = ""', 'device = "gramophone"')
    with Broker() as broker:
        change(config_file, "port = 1883", f"port = {broker.port}")
        change(config_file, 'host = "localhost"', 'host = "127.0.0.1"')
        status, found = examine(config_file)
    assert status == 1
    assert found["broker"].startswith("good")
    for name in ("vosk-model-small-ko-0.22:", "alexa_v0.1:", "melspectrogram:"):
        assert found[f"model {name}"].startswith("bad")
        assert "soripan models fetch" in found[f"model {name}"]
    assert found["listening graph"].startswith("bad")


def test_wrong_settings_end_it(config_file: Path) -> None:
    change(config_file, "earcons", "earcon")
    status, found = examine(config_file)
    assert (status, list(found)) == (1, ["config"])
    assert "did you mean “earcons”?" in found["config"]


def test_the_pins_that_are_not_there(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "nothing")
    change(config_file, 'device = ""', 'device = "gramophone"')
    change(config_file.parent / "fridge.toml", 'driver = "simulated"', 'driver = "gpio"')
    _, found = examine(config_file)
    assert found["appliance fridge"].startswith("bad")
    assert "python3-lgpio" in found["appliance fridge"]
    assert found["appliance tv"].startswith("good")


@pytest.mark.parametrize("width", [60, 120])
def test_models_are_listed_with_their_whole_names(
    config_file: Path,
    models: ModelStore,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main(["models", "list", "--config", str(config_file)]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in models.registry.models)
    assert width < 120 or "CC-BY-NC-SA-4.0" in listed


def test_models_are_verified(
    config_file: Path, models: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "verify", "alexa_v0.1", "--config", str(config_file)]) == 0
    assert capsys.readouterr().out == "alexa_v0.1: good\n"
    assert cli.main(["models", "verify", "alexa", "--config", str(config_file)]) == 69
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "soripan: alexa: no such model (did you mean “alexa_v0.1”?)\n"
