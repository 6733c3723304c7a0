"""What the tests share."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from soripan import config
from soripan.asr.models import ModelStore
from support.broker import Broker

ROOT = Path(__file__).parents[1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything can be installed, nothing may be skipped but for recordings of people."""
    report = yield
    strict = os.environ.get("SORIPAN_NO_SKIP") and not item.get_closest_marker("recordings")
    if report.skipped and not hasattr(report, "wasxfail") and strict:
        report.outcome = "failed"
        report.longrepr = f"skipped, which SORIPAN_NO_SKIP forbids: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def models() -> ModelStore:
    """The models that `make models` fetched."""
    return ModelStore(config.default_models_folder())


@pytest.fixture
def config_folder(tmp_path: Path) -> Path:
    """A copy of ``config/`` whose panel keeps its state beside it."""
    folder = tmp_path / "config"
    shutil.copytree(ROOT / "config", folder)
    panel = folder / "panel.toml"
    text = panel.read_text(encoding="utf-8")
    panel.write_text(text.replace('state = ""', f'state = "{tmp_path / "state"}"'), "utf-8")
    return folder


@pytest.fixture
def config_file(config_folder: Path) -> Path:
    """The ``panel.toml`` of such a copy."""
    return config_folder / "panel.toml"


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A mosquitto of the test's own."""
    with Broker() as running:
        yield running


@pytest.fixture(scope="session")
def korean_model(models: ModelStore) -> Path:
    """The stock Vosk model."""
    return models.path("vosk-model-small-ko-0.22")
