"""Print the version of Glassmind, as --version does.

glassmind version
glassmind doctor            what else is installed, and what this machine can do
"""

from __future__ import annotations

import argparse

from glassmind import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``glassmind version`` has no options."""


def run(args: argparse.Namespace) -> int:
    """Print the version; return 0."""
    print(f"glassmind {__version__}")
    return 0
