"""The command line, as a user or a script sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.assistant import Assistant
from support.broker import Broker, Monitor

AUDIO = Path(__file__).parent / "audio"
KEYS = [
    "file", "text", "confidence", "intent", "slots", "decision", "kind", "assistant",
    "wake_word", "speech", "asks", "request", "timings",
]  # fmt: skip


def soripan(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "soripan", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, **environment},
    )


def refused(result: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """One clear line, the exit status, nothing else."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("WARNING")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("soripan: ")
    assert all(word in lines[0] for word in words), lines[0]
    assert result.returncode == status
    assert result.stdout == ""


def set_broker(folder: Path, port: int) -> None:
    panel = folder / "panel.toml"
    panel.write_text(panel.read_text("utf-8").replace("port = 1883", f"port = {port}"), "utf-8")


@pytest.mark.parametrize("command", ["", "run", "listen", "say", "doctor", "models"])
def test_help(command: str) -> None:
    result = soripan(*command.split(), "--help")
    assert result.returncode == 0
    assert "usage: soripan" in result.stdout


def test_say_has_the_stable_keys(config_folder: Path) -> None:
    result = soripan(
        "say", "--json", "--no-mqtt", "--config", config_folder / "panel.toml",
        "냉장고 온도 삼 도로 맞춰 줘",
    )  # fmt: skip
    said = json.loads(result.stdout)
    assert list(said) == KEYS
    assert (said["intent"], said["decision"]) == ("SetTemperature", "local")
    assert said["slots"] == {"zone": "fridge", "value": 3}
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("text", "decision", "kind", "assistant"),
    [
        ("장바구니에 우유 두 병 담아 줘", "away", "shopping", "alexa"),
        ("우유 두 병 주문해 줘", "local", None, None),
        ("구글한테 내일 날씨 물어봐 줘", "away", "directed", "google"),
        ("우리 강아지가 어제 아팠어", "away", "unresolved", "alexa"),
        ("냉장고 온도 이십 도로 맞춰 줘", "rejected", None, None),
        ("어", "local", None, None),
    ],
)
def test_where_it_goes(
    config_folder: Path, text: str, decision: str, kind: str | None, assistant: str | None
) -> None:
    result = soripan("say", "--json", "--no-mqtt", "--config", config_folder / "panel.toml", text)
    said = json.loads(result.stdout)
    assert (said["decision"], said["kind"], said["assistant"]) == (decision, kind, assistant)
    assert said["speech"]


def test_say_over_mqtt(config_folder: Path) -> None:
    with (
        Broker() as broker,
        Monitor(broker.host, broker.port, "soripan/#") as monitor,
        Assistant(broker.port, "alexa") as alexa,
    ):
        set_broker(config_folder, broker.port)
        result = soripan(
            "say", "--config", config_folder / "panel.toml", "김치 한 통 주문해 줘", "--then", "응"
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        first, second, reply = result.stdout.splitlines()
        assert first.endswith("| local | 김치 1통을 주문할까요?")
        assert "| away to alexa (shopping) |" in second
        assert reply == "alexa (ok) | 알렉사의 대답이에요. 김치 한 통 주문해 줘 했어요."
        (request,) = alexa.requests
        assert request["items"] == [{"name": "김치", "quantity": 1, "unit": "통"}]
        assert monitor.wait_for("soripan/kitchen/state/fridge/fridge_temperature").retain
        monitor.wait_for("soripan/kitchen/event/intent")
        monitor.wait_for("soripan/kitchen/event/reply")
        monitor.wait_for("soripan/kitchen/availability", "offline")
        assert '"confirmed"' in monitor.wait(lambda m: "confirmed" in m.text).text


def test_the_outbox_by_hand(config_folder: Path) -> None:
    with Broker() as broker:
        set_broker(config_folder, broker.port)
        panel = config_folder / "panel.toml"
        soripan("say", "--config", panel, "장바구니에 우유 두 병 담아 줘")
        listed = soripan("outbox", "list", "--config", panel)
        assert listed.returncode == 0, listed.stderr
        assert "우유 두 병" in listed.stdout
        key = json.loads(soripan("outbox", "list", "--json", "--config", panel).stdout)["key"]
        refused(soripan("outbox", "remove", "x", "--config", panel), 65, "x", "outbox list")
        with Assistant(broker.port, "google") as google:
            retried = soripan(
                "outbox", "retry", "--assistant", "google", key[:8], "--config", panel
            )
            assert (retried.returncode, retried.stderr) == (0, "")
            soripan("say", "--config", panel, "지금 몇 시야")
            assert [request["id"] for request in google.requests] == [key]
        assert soripan("outbox", "list", "--config", panel).stdout.startswith("nothing")


def test_a_question_expires(config_folder: Path) -> None:
    with (
        Broker() as broker,
        Monitor(broker.host, broker.port, "soripan/#") as monitor,
        Assistant(broker.port, "google"),
    ):
        set_broker(config_folder, broker.port)
        soripan("say", "--config", config_folder / "panel.toml", "구글한테 내일 날씨 물어봐 줘")
        assert monitor.wait_for("soripan/kitchen/request/google").expiry == 8


def test_listen_to_a_command(config_folder: Path) -> None:
    file = AUDIO / "demo/05_hey_jarvis_TurnOn.flac"
    result = soripan(
        "listen", "--json", "--no-mqtt", "--config", config_folder / "panel.toml", file
    )
    heard = json.loads(result.stdout)
    assert (heard["wake_word"], heard["intent"]) == ("hey_jarvis", "TurnOn")
    assert heard["slots"] == {"target": "tv"}
    assert set(heard["timings"]) == {"wake", "speech_end", "endpoint", "decide", "action"}


def test_silence_is_told(config_folder: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros((44_100, 2), np.int16), 44_100)
    result = soripan(
        "listen", "--no-wake", "--json", "--no-mqtt", "--config", config_folder / "panel.toml",
        tmp_path / "silence.wav",
    )  # fmt: skip
    heard = json.loads(result.stdout)
    assert (heard["text"], heard["decision"]) == ("", "rejected")


class TestWhatIsWrong:
    def test_no_config(self, tmp_path: Path) -> None:
        refused(soripan("say", "--config", tmp_path / "no.toml", "응"), 78, "no such file")

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("port = 1883", "prot = 1883", ("mqtt.prot", "did you mean “port”")),
            ("port = 1883", "port = true", ("mqtt.port",)),
            ("port = 1883", "port = 99999", ("mqtt.port",)),
            ("port = 1883", "port = ", ("is not TOML",)),
            ('language = "ko"', 'language = "tlh"', ("panel.language",)),
            ("threshold = 0.5", "threshold = 5", ("wake.words",)),
            ('"tv.toml"]', '"tv.toml", "fridge.toml"]', ("also the id",)),
        ],
    )
    def test_settings(
        self, config_folder: Path, old: str, new: str, words: tuple[str, ...]
    ) -> None:
        panel = config_folder / "panel.toml"
        panel.write_text(panel.read_text("utf-8").replace(old, new), "utf-8")
        refused(soripan("say", "--config", panel, "응"), 78, *words)

    def test_template(self, config_folder: Path) -> None:
        file = config_folder / "language/ko/mine.yaml"
        file.write_text(
            "language: ko\nintents:\n  Help:\n    data:\n      - sentences:\n"
            '          - "도와(줘"\n',
            encoding="utf-8",
        )
        panel = config_folder / "panel.toml"
        refused(soripan("say", "--no-mqtt", "--config", panel, "응"), 78, "mine.yaml:6:")

    def test_recordings(self, config_folder: Path, tmp_path: Path) -> None:
        panel = config_folder / "panel.toml"
        empty, text = tmp_path / "empty.wav", tmp_path / "text.wav"
        empty.touch()
        text.write_text("no sound", encoding="utf-8")
        for file in (tmp_path / "missing.wav", empty, text, tmp_path):
            refused(soripan("listen", "--no-mqtt", "--config", panel, file), 66, str(file))

    def test_no_broker(self, config_folder: Path) -> None:
        set_broker(config_folder, 1)
        panel = config_folder / "panel.toml"
        refused(soripan("say", "--config", panel, "응"), 69, "--no-mqtt")

    def test_no_models(self, config_folder: Path, tmp_path: Path) -> None:
        result = soripan(
            "listen", "--no-mqtt", "--config", config_folder / "panel.toml",
            AUDIO / "demo/05_hey_jarvis_TurnOn.flac", SORIPAN_MODELS=str(tmp_path / "none"),
        )  # fmt: skip
        refused(result, 69, "soripan models fetch")

    def test_two_with_one_state(self, config_folder: Path, tmp_path: Path) -> None:
        from soripan.lock import exclusive  # noqa: PLC0415

        with Broker() as broker, exclusive(tmp_path / "state"):
            set_broker(config_folder, broker.port)
            refused(soripan("say", "--config", config_folder / "panel.toml", "응"), 75, "another")


def test_graph_build_and_explain(config_folder: Path) -> None:
    panel = config_folder / "panel.toml"
    built = soripan("graph", "build", "--profile", "lite", "--config", panel)
    assert built.returncode == 0, built.stderr
    again = soripan("graph", "build", "--profile", "lite", "--config", panel)
    assert "is up to date" in again.stdout
    assert again.stderr == ""
    explain = ("graph", "explain", "--profile", "lite", "--config", panel)
    explained = soripan(*explain, "냉장고 온도", "삼 도로 맞춰 줘").stdout.splitlines()
    assert "도로: 도 로" in explained
    assert 'meaning: SetTemperature zone="fridge" value=3' in explained
    assert "command: 냉장고 온도 삼 도 로 맞춰 줘" in explained
    talk = soripan(*explain, "어제 영화를 봤어").stdout
    assert "no sentence template has it" in talk
    assert "only as open speech" in talk


def test_graph_without_a_graph(config_folder: Path) -> None:
    panel = config_folder / "panel.toml"
    panel.write_text(panel.read_text("utf-8").replace('graph = "auto"', 'graph = "stock"'), "utf-8")
    result = soripan("graph", "build", "--config", panel)
    assert (result.returncode, result.stdout.count("none to build")) == (0, 1)
    explained = soripan("graph", "explain", "--config", panel, "티비 켜")
    assert explained.returncode == 69
    assert "--profile" in explained.stderr


def test_a_word_that_the_recogniser_cannot_write(config_folder: Path) -> None:
    tv = config_folder / "language/ko/tv.yaml"
    tv.write_text(tv.read_text("utf-8").replace("(hdmi|", "(hdmii|"), "utf-8")
    panel = config_folder / "panel.toml"
    result = soripan("graph", "build", "--profile", "lite", "--config", panel)
    assert result.returncode == 78, result.stderr
    assert "tv.yaml" in result.stderr
    assert "“hdmii”" in result.stderr
    assert "“HDMI”" in result.stderr
