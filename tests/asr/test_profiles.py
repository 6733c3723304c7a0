"""Which size of the listening graph fits which board."""

import os

import pytest

from soripan.asr.profiles import PROFILES, fitting


@pytest.mark.parametrize(
    ("megabytes", "name"),
    [(430, "lite"), (512, "lite"), (920, "medium"), (1_000, "medium"), (1_900, "full")],
)
def test_the_largest_that_fits(monkeypatch: pytest.MonkeyPatch, megabytes: int, name: str) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": megabytes * 1_000_000 // 4096 + 1}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert fitting() is PROFILES[name]
