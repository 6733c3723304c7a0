"""``python -m soripan``."""

import sys

from soripan.cli import main

sys.exit(main())
