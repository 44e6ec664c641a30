"""What every test may use: the folder of real data, and hypothesis without a stopwatch."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# A busy machine makes a single example slow; that says nothing about the code.
hypothesis.settings.register_profile("glassmind", deadline=None)
hypothesis.settings.load_profile("glassmind")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real data that GLASSMIND_DATA names, or skip the test."""
    name = os.environ.get("GLASSMIND_DATA", "")
    if not name or not Path(name).is_dir():
        pytest.skip("GLASSMIND_DATA does not name a folder of real data")
    return Path(name)
