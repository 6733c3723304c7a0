"""soripan: an on-device voice front-end for the panel of a fridge or a TV."""

__version__ = "0.1.0"
