"""`glassmind serve` in a process of its own, for the benchmarks of the server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """A server that answers at ``address``."""

    address: str
    pid: int


@contextmanager
def server(model: str, *options: str) -> Iterator[Server]:
    """A server of ``model`` (the package's own if it is empty), ended with SIGTERM.

    Raises ``SystemExit`` if it does not start, does not exit with 0, or prints a stack trace.
    """
    command = [sys.executable, "-m", "glassmind", "serve", "--port", "0", *options]
    command += [model] if model else []
    environment = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        found = re.search(r"answers at (\S+)", first)
        if found is None:
            raise SystemExit(first + process.stderr.read())
        try:
            yield Server(found[1], process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            complaints = process.stderr.read()
        # uvicorn also reports requests that are not HTTP; only a stack trace is a fault.
        if process.wait(60) or "Traceback" in complaints:
            raise SystemExit(f"the server ended with {process.returncode}: {complaints}")
