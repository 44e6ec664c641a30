"""One server for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_servers import Stall, chat_model, serving, write_run

from glassmind.llm.local import LocalLLM


@pytest.fixture(scope="session")
def tiny() -> LocalLLM:
    return chat_model()


@pytest.fixture(scope="session")
def server(tiny: LocalLLM) -> Iterator[str]:
    with serving(tiny) as address:
        yield address


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("serve") / "run")


@pytest.fixture
def stall(monkeypatch: pytest.MonkeyPatch) -> Stall:
    return Stall(monkeypatch)
