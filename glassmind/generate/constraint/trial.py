"""A grammar compiled for trial, in a process that can be killed.

llguidance bounds most of the work that a grammar can cause, but not all of it, and Python cannot
stop a thread that computes. A server therefore has a stranger's grammar compiled once in a worker
process with a limit on time and memory (``glassmind.worker``). Only a grammar that compiled there
is compiled in the server.
"""

from __future__ import annotations

from pathlib import Path

from glassmind.errors import UserError
from glassmind.generate.constraint.matcher import COMPILE_FUEL, MAX_STATES
from glassmind.worker import Worker, WorkerStopped

SECONDS = 5.0
MEMORY = 2 << 30  # bytes of address space; what a grammar uses of it is far less
_PROGRAM = Path(__file__).with_name("trial_program.py")
_LONGEST_ANSWER = 1024  # bytes


class GrammarTrial:
    """Calls from several threads wait for each other.

    Args:
        seconds: the time that compiling one grammar may take.
        memory: the address space of the process in bytes, where the system can limit it.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._worker = Worker(
            _PROGRAM,
            seconds=seconds,
            memory=memory,
            cannot_start="the process that checks constraints cannot be started on this machine",
        )

    def __call__(self, grammar: str, what: str) -> None:
        """Compile ``grammar``, llguidance's JSON, within the limits.

        Whether it is correct is not reported: that depends on the vocabulary, which only the
        process that asks has.

        Raises:
            UserError: it takes too much time or memory; ``what`` is its name.
        """
        asked = {"grammar": grammar, "fuel": COMPILE_FUEL, "states": MAX_STATES}
        try:
            answer = self._worker.ask(asked, _LONGEST_ANSWER)
        except WorkerStopped as stopped:
            limit = f"{self._worker.seconds:g} s" if stopped.timed_out else "the memory"
            raise UserError(f"the {what} takes more than {limit} that it may to compile") from None
        if answer.get("failure") == "memory":
            raise UserError(f"the {what} takes more than the memory that it may to compile")

    def close(self) -> None:
        """End the process, and with it what it is doing; the next call starts another."""
        self._worker.close()
