"""``python -m glassmind`` is the ``glassmind`` command."""

from __future__ import annotations

import sys

from glassmind.cli.main import main

sys.exit(main())
