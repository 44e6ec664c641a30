"""Compiling constraints without blocking other requests.

A large schema takes a second to compile, and one designed to be slow takes forever. So constraints
are compiled in a thread of their own, after a trial in a process that can be killed
(``generate.constraint.trial``). Clients take turns, and the work for a client that disconnects is
stopped.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from glassmind.generate.constraint.constraint import Constraint
from glassmind.generate.constraint.trial import GrammarTrial
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.constraints import Constraints, Form
from glassmind.serve.work.turns import Turns

MOST_WAITING = 8  # requests of one client whose constraints wait to be compiled


class Compiler:
    """Compiles the constraints of a server. Call ``close`` when the server stops."""

    def __init__(self, vocabulary: Vocabulary, trial: GrammarTrial | None = None) -> None:
        self._trial = trial or GrammarTrial()
        self._constraints = Constraints(vocabulary, self._try)
        self._turns = Turns(MOST_WAITING, "their constraint to be compiled")
        self._thread = ThreadPoolExecutor(1, "constraints")
        self._given_up = threading.Event()  # set to stop the compilation in progress

    async def constraint(self, form: Form | None, client: str) -> Constraint | None:
        """The constraint for ``form``; ``None`` without a form.

        Raises:
            Refusal: the form is invalid or not supported or takes too long to compile, or too many
                constraints of the client are waiting.
        """
        if form is None:
            return None
        known = self._constraints.known(form)
        if known is not None:
            return known
        async with self._turns.of(client):
            known = self._constraints.known(form)  # may have been compiled during the wait
            if known is None:
                known = await self._made(form)
                self._constraints.keep(form, known)
        return known

    def close(self) -> None:
        """End the thread and the trial process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._trial.close()

    async def _made(self, form: Form) -> Constraint:
        given_up = threading.Event()

        def work() -> Constraint:
            self._given_up = given_up
            return self._constraints.made(form)

        working = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await working
        except asyncio.CancelledError:
            given_up.set()
            self._trial.close()
            raise

    def _try(self, grammar: str, what: str) -> None:
        """In the thread."""
        if self._given_up.is_set():
            raise Refusal(499, "the client closed the connection")
        self._trial(grammar, what)
