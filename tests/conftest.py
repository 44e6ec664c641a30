"""What every test may use: the folder of real data, a folder of its own to run verbs in, and
hypothesis without a stopwatch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest
from command_line import complaint

from glassmind.cli import console

# What a test samples must not come from the cache of another one.
os.environ["GLASSMIND_EVALUATIONS"] = "off"

# A busy machine makes a single example slow; that says nothing about the code. The same examples
# every time: a change is judged by what it changed. HYPOTHESIS_PROFILE=explore draws new ones.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


# A module is tested by one worker. These take longest, and come first, so that no worker is left
# alone with one of them in the end.
LONGEST = (
    "train/test_distributed.py", "interop/test_real_weights.py", "generate/test_engine.py",
    "train/test_distributed_runs.py", "train/test_crashes.py", "evaluate/test_diagnosis.py",
    "train/test_rollouts.py", "test_documented_commands.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest modules first, and leave all others in their order."""
    tests = Path(__file__).parent
    place = {tests / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real data that GLASSMIND_DATA names, or skip the test."""
    name = os.environ.get("GLASSMIND_DATA", "")
    if not name or not Path(name).is_dir():
        pytest.skip("GLASSMIND_DATA does not name a folder of real data")
    return Path(name)


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The working directory, this test's own; consoles on its streams, and one thread."""
    for name in ("GLASSMIND_DEBUG", "FORCE_COLOR", "GLASSMIND_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    import torch  # here: tests of what needs no torch start without it

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for cached in (console.console, console.out):
        cached.cache_clear()
    yield tmp_path
    for cached in (console.console, console.out):
        cached.cache_clear()
    torch.set_num_threads(threads)


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[Sequence[str], str], None]:
    """Checks that a command says so in one sentence, and begins no run in the folder ``run``."""

    def check(argv: Sequence[str], sentence: str) -> None:
        assert sentence in complaint(capsys, *argv)
        assert not (tmp_path / "run").exists()

    return check
