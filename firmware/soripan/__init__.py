"""soripan: an on-device voice front-end for the panel of a fridge or a TV."""

import os

__version__ = "0.1.0"

# From 1.29 on, onnxruntime reports to its maker unless this is set before it is loaded. Nothing of
# this household goes anywhere that its owner did not configure.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
