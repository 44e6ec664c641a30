"""A worker answers, is stopped at its limits, and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from glassmind.errors import UserError
from glassmind.worker import Worker, WorkerStopped

SCRIPT = """
import os, time
def answer(request):
    do = request["do"]
    if do == "sleep":
        time.sleep(60)
    if do == "allocate":
        return {"length": len(b"x" * (1 << 30))}
    if do == "exit":
        os._exit(3)
    if do == "print":
        print("not an answer")
        os.write(1, b"nor this")
    if do == "raise":
        raise RuntimeError("this ends the program")
    return {"did": do, "pid": os.getpid()}
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    worker = Worker(script, seconds=20, memory=512 << 20, cannot_start="it does not start")
    yield worker
    worker.close()


def test_one_process_answers_all_requests(worker: Worker) -> None:
    first = worker.ask({"do": "one"}, 100)
    assert first["did"] == "one"
    assert worker.ask({"do": "two"}, 100) == {"did": "two", "pid": first["pid"]}
    assert first["pid"] != os.getpid()


def test_what_it_prints_is_no_answer(worker: Worker) -> None:
    assert worker.ask({"do": "print"}, 100)["did"] == "print"
    assert worker.ask({"do": "after"}, 100)["did"] == "after"


@pytest.mark.parametrize(("do", "timed_out"), [("sleep", True), ("exit", False), ("raise", False)])
def test_a_stopped_worker_is_replaced(worker: Worker, do: str, timed_out: bool) -> None:
    before = worker.ask({"do": "before"}, 100)["pid"]
    with pytest.raises(WorkerStopped) as stopped:
        worker.ask({"do": do}, 100, seconds=0.5 if do == "sleep" else None)
    assert stopped.value.timed_out is timed_out
    assert worker.ask({"do": "after"}, 100)["pid"] != before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_memory_is_limited(worker: Worker) -> None:
    before = worker.ask({"do": "before"}, 100)["pid"]
    assert worker.ask({"do": "allocate"}, 100)["failure"] == "memory"
    assert worker.ask({"do": "after"}, 100)["pid"] != before


def test_an_answer_longer_than_agreed_stops_it(worker: Worker) -> None:
    with pytest.raises(WorkerStopped):
        worker.ask({"do": "x" * 200}, 100)
    assert worker.ask({"do": "after"}, 100)["did"] == "after"


def test_threads_take_turns(worker: Worker) -> None:
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = worker.ask({"do": str(number)}, 100)["did"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: str(number) for number in range(8)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_copy_starts_its_own(worker: Worker) -> None:
    mine = worker.ask({"do": "parent"}, 100)["pid"]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(worker.ask({"do": "child"}, 100)["pid"]).encode())
            worker.close()
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        theirs = int(said.read())
    assert theirs not in (mine, os.getpid())
    assert worker.ask({"do": "parent"}, 100)["pid"] == mine


def test_a_script_that_cannot_be_loaded(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import a_package_that_nobody_has\n", encoding="utf-8")
    worker = Worker(script, seconds=5, memory=512 << 20, cannot_start="install the package")
    with pytest.raises(UserError, match="install the package"):
        worker.ask({}, 100)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_under_a_hard_limit_on_processor_time_it_answers(tmp_path: Path) -> None:
    """As under ``ulimit -t 30``: an own limit above it may not be set, and was once tried."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    program = f"""
import resource
from pathlib import Path
from glassmind.worker import Worker
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
worker = Worker(Path({str(script)!r}), seconds=60, memory=512 << 20, cannot_start="no")
print([worker.ask({{"do": "x"}}, 100)["did"] for _ in range(2)])
worker.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("['x', 'x']\n", 0), done.stderr
