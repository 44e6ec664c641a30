"""A process for programs that are not trusted: chat templates.

A chat template arrives inside somebody else's model and is a program in Jinja's language. Jinja's
sandbox keeps it away from the machine, but not from looping for ever or from building a string of
ten gigabytes, and Python cannot stop a thread that does. It can stop a process. So templates run in
one of their own, which is started when first needed (a tenth of a second), kept, given a time limit
by whoever waits for it and a memory limit by the operating system, and replaced when it had to be
killed.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from glassmind.errors import UserError

SECONDS = 5.0
"""For one rendering, which takes milliseconds; the limit leaves room for a busy machine."""

MEMORY = 512 << 20
"""Address space of the worker in bytes, where the system can limit it (Linux; not Windows)."""

_START_SECONDS = 60.0
_PROGRAM = Path(__file__).with_name("sandbox.py")
# Whatever else the environment holds (keys, tokens) is none of a template's business.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "TZ")


class WorkerStopped(Exception):
    """The worker was killed at its time limit (``timed_out``) or ended by itself."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__(timed_out)
        self.timed_out = timed_out


class ChatWorker:
    """A worker process; one request at a time, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        if hasattr(os, "register_at_fork"):  # a forked copy must not share the pipes
            os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def ask(self, request: dict[str, Any], longest: int) -> dict[str, str]:
        """The answer to ``request``, of at most ``longest`` bytes. Raises ``WorkerStopped`` when
        none came, and ``UserError`` when no worker can be started."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            line = self._exchange(json.dumps(request).encode("ascii") + b"\n", SECONDS, longest)
            answer: dict[str, str] = json.loads(line)
            if answer.get("failure") == "memory":  # what it still holds, nobody knows
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
        command = [sys.executable, "-P", str(_PROGRAM), str(MEMORY), str(int(SECONDS))]
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONIOENCODING": "utf-8"},
        )
        try:
            self._exchange(b"", _START_SECONDS, len("ready\n"))
        except WorkerStopped:
            raise UserError(
                "the worker for chat templates does not start; is the Python package jinja2 "
                f"installed for {sys.executable}?"
            ) from None

    def _exchange(self, line: bytes, seconds: float, longest: int) -> bytes:
        """Sends ``line`` and waits for one in return."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline(longest + 1)
        except BrokenPipeError:
            answer = b""
        except BaseException:  # Ctrl-C: what it is still writing must not answer the next request
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
