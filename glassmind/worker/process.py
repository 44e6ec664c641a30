"""The parent's side of a worker process: starting it, limiting its time, and killing it."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from glassmind.errors import UserError
from glassmind.serialization import JsonObject

_START_SECONDS = 60.0
_PROGRAM = Path(__file__).with_name("program.py")
# All other environment variables, which may hold keys or tokens, are withheld from the worker.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "TZ")


class WorkerStopped(Exception):
    """The worker was killed at its time limit (``timed_out``) or ended by itself."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__(timed_out)
        self.timed_out = timed_out


class Worker:
    """A process that answers requests with a function; one request at a time, from any thread.

    Args:
        script: a Python file that defines ``answer(request) -> dict``. It is loaded by its path and
            should not import this package, so that the process starts quickly.
        seconds: time limit for one request. It should leave room for a busy machine.
        memory: limit on the process's address space in bytes, if the system supports it (Linux; not
            Windows).
        cannot_start: the message of the ``UserError`` for a process that does not start.
    """

    def __init__(self, script: Path, *, seconds: float, memory: int, cannot_start: str) -> None:
        self.seconds = seconds
        self.memory = memory
        self._script = script
        self._cannot_start = cannot_start
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        if hasattr(os, "register_at_fork"):  # a forked copy must not share the pipes
            os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def ask(self, request: JsonObject, longest: int, *, seconds: float | None = None) -> JsonObject:
        """The answer to ``request``, whose line of JSON has at most ``longest`` bytes.

        ``seconds`` is a shorter time limit for this request; starting the process is not counted.
        ``{"failure": "memory"}`` means that the memory limit was reached.

        Raises:
            WorkerStopped: no answer came.
            UserError: no worker can be started.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            line = json.dumps(request).encode("ascii") + b"\n"
            answer: JsonObject = json.loads(
                self._exchange(line, self.seconds if seconds is None else seconds, longest)
            )
            if answer.get("failure") == "memory":  # it may still hold memory
                self.close()
            return answer

    def close(self) -> None:
        """Ends the worker; the next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _start(self) -> None:
        self.close()
        seconds = str(int(self.seconds) + 1)
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM), str(self._script), str(self.memory), seconds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONIOENCODING": "utf-8"},
        )
        try:
            self._exchange(b"", _START_SECONDS, len("ready\n"))
        except WorkerStopped:
            raise UserError(self._cannot_start) from None

    def _exchange(self, line: bytes, seconds: float, longest: int) -> bytes:
        """Sends ``line`` and waits for one in return."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline(longest + 1)
        except BrokenPipeError:
            answer = b""
        except BaseException:  # Ctrl-C: a late answer must not answer the next request
            self.close()
            raise
        finally:
            timer.cancel()
        if not answer.endswith(b"\n"):
            self.close()
            raise WorkerStopped(late.is_set())
        return answer

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._process = None
