"""Ask a model a question: its chains, their votes, the verifier's scores, the answer.

    answer = ask("Mia has 3 boxes of 12 pencils. She gives 5 away. How many are left?")
    answer.text, answer.votes, answer.chains

    ask(["What is 12 times 7?", "And 13 times 8?"], "smollm2")      several at once, as one batch
    ask("What is 12 times 7?", "http://127.0.0.1:8000/v1")

Any model that ``open_llm`` opens can be asked. Our own write their steps between special tokens; of
others' free text the lines are the steps, and the answer is searched for in it. A sum (*What is
12 times 7?*) that is put to a model of word problems is computed instead, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.llm import LLM, Source, as_llm
from glassmind.llm.llm import asked_text, reply_sampling
from glassmind.llm.questions import check_question
from glassmind.pipeline.answer import Answer, by_calculator, conclude
from glassmind.progress import Progress
from glassmind.reason import registry
from glassmind.reason.confidence import load_calibration
from glassmind.reason.method import Budget, Solution
from glassmind.reason.session import Session
from glassmind.records import Problem
from glassmind.runs.recipe import SamplingConfig

Conclude = Callable[[str, Solution, str], Answer]
"""From a question, its solution and the method's name to an answer."""


def ask(
    questions: str | Sequence[str],
    model: Source = None,
    *,
    method: str = "",
    sampling: SamplingConfig | None = None,
    tokens: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Answer | list[Answer]:
    """Answer one question, or several as one batch.

    ``model`` is whatever ``open_llm`` opens, a model that is open already (``load`` and
    ``load_pretrained`` return such, too), or ``None`` for the one that comes with the package;
    ``sampling`` replaces the model's own way of sampling. ``method`` is the name of one, by default
    the best that the model allows; ``tokens`` limits what it may spend on a question
    (``Budget``).

    Raises:
        UserError: there is no such model or method, the method needs what the model lacks, or a
            question is empty or too long for it.
    """
    several = [questions] if isinstance(questions, str) else list(questions)
    for question in several:
        check_question(question)
    llm = as_llm(model)
    problems = [Problem(str(n), asked_text(llm.format, q), "") for n, q in enumerate(several)]
    for problem in problems:
        llm.check(problem.question, llm.style)
    exact: dict[int, Answer] = {}
    if llm.format == "question" and not method:  # a model of stories is no calculator
        found = {number: by_calculator(question) for number, question in enumerate(several)}
        exact = {number: answer for number, answer in found.items() if answer is not None}
    asked = [number for number in range(len(several)) if number not in exact]
    answers = exact | dict(
        zip(
            asked,
            _asked(
                [several[number] for number in asked],
                llm,
                method,
                sampling or reply_sampling(llm),
                tokens,
                seed,
                progress,
            ),
            strict=True,
        )
    )
    ordered = [answers[number] for number in range(len(several))]
    return ordered[0] if isinstance(questions, str) else ordered


def _asked(
    questions: Sequence[str],
    llm: LLM,
    method: str,
    config: SamplingConfig,
    tokens: int | None,
    seed: int,
    progress: Progress | None,
) -> list[Answer]:
    """The model's own answers."""
    if not questions:
        return []
    problems = [Problem(str(n), asked_text(llm.format, q), "") for n, q in enumerate(questions)]
    for problem in problems:
        llm.check(problem.question, llm.style)
    session = Session(
        [llm],
        SamplingParams.of(config, seed=seed, greedy=True),
        # Nobody else shares the chains: a method draws what it asks for.
        replace(SamplingParams.of(config, seed=seed), samples=1),
        answers=False,
        progress=progress,
    )
    chosen = registry.named(method) if method else registry.best(session.has)
    registry.require(chosen, session.has)
    solutions = chosen.solve(problems, session, Budget(config.samples, tokens))
    for question, solution in zip(questions, solutions, strict=True):
        chains = solution.trace.completions
        if tokens is None and all(
            c.finish == "length" and not c.cost.completion_tokens for c in chains
        ):
            raise UserError(
                f"the question {question[:60]!r}... is too long for {llm.name}: shorten it"
            )
    conclude = concluding(llm)
    return [
        conclude(question, solution, chosen.name)
        for question, solution in zip(questions, solutions, strict=True)
    ]


def concluding(llm: LLM) -> Conclude:
    """How a solution by ``llm`` becomes an answer, with all that is known of the model."""
    calibration = None if llm.run is None else load_calibration(llm.run.path)
    known = llm.familiarity

    def concluded(question: str, solution: Solution, method: str) -> Answer:
        text = asked_text(llm.format, question)
        return conclude(
            question,
            solution,
            method,
            warning=llm.warning(text),
            strangeness=None if known is None else known.strangeness(text),
            calibration=calibration,
            examples=() if known is None else known.examples,
        )

    return concluded
