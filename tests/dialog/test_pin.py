"""The PIN: right, wrong, locked."""

import pytest

from soripan.dialog.pin import LOCK, TRIES, Pin
from soripan.exc import ConfigError


@pytest.mark.parametrize("text", ["", "123", "123456789", "12a4", "١٢٣٤", "1234 "])
def test_what_is_no_pin(text: str) -> None:
    with pytest.raises(ConfigError, match="holds no PIN"):
        Pin(text, "pin")


def test_it_locks_and_opens_again() -> None:
    now = [0.0]
    pin = Pin("1234", "pin", lambda: now[0])
    assert pin.matches("1234")
    for _ in range(TRIES - 1):
        assert not pin.matches("1235")
    assert pin.matches("1234")  # a right one in between forgives
    for _ in range(TRIES):
        assert not pin.locked
        assert not pin.matches("1235")
    assert pin.locked
    assert not pin.matches("1234")
    now[0] += LOCK + 1
    assert not pin.locked
    assert pin.matches("1234")
