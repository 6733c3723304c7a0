"""The appliances a panel controls, and the drivers of their hardware.

A new kind of appliance is a new module here, with a class that registers itself for its settings.
"""

import importlib
import pkgutil

from soripan.appliances.appliance import KINDS, REFUSALS, Appliance, Outcome
from soripan.appliances.driver import Driver
from soripan.appliances.gpio import GpioDriver
from soripan.appliances.simulated import SimulatedDriver
from soripan.config import ApplianceSettings
from soripan.events import EventBus
from soripan.store import Store

__all__ = ["KINDS", "REFUSALS", "Appliance", "Driver", "Outcome", "create", "create_driver"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def create(
    settings: ApplianceSettings,
    bus: EventBus,
    store: Store | None = None,
    driver: Driver | None = None,
) -> Appliance:
    """The appliance that its settings describe, as it was when it was last seen.

    Args:
        settings: its file.
        bus: is told of its changes.
        store: keeps its state through a power failure; None: it is forgotten.
        driver: its hardware; None: what the settings say.

    Raises:
        DriverError: the hardware is not there or did not answer.
    """
    return KINDS[type(settings)](settings, driver or create_driver(settings), bus, store)


def create_driver(settings: ApplianceSettings) -> Driver:
    """The driver that the settings ask for.

    Raises:
        DriverError: there are no pins here, or one cannot be had.
    """
    if settings.driver == "gpio":
        return GpioDriver(settings.gpio.items())
    return SimulatedDriver()
