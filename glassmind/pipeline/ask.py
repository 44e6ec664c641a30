"""Ask a model a question: its chains, their votes, the verifier's scores, the answer.

    answer = ask("Mia has 3 boxes of 12 pencils. She gives 5 away. How many are left?")
    answer.text, answer.votes, answer.chains

    ask(["What is 12 times 7?", "And 13 times 8?"], "smollm2")      several at once, as one batch
    ask("What is 12 times 7?", "http://127.0.0.1:8000/v1")

Any model that ``open_llm`` opens can be asked. Our own write their steps between special tokens; of
others' free text the lines are the steps, and the answer is searched for in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.llm import Source, as_llm
from glassmind.llm.llm import asked_text, reply_sampling
from glassmind.llm.questions import check_question
from glassmind.llm.replies import reply_text
from glassmind.progress import Progress
from glassmind.reason import registry
from glassmind.reason.method import Budget, Solution
from glassmind.reason.session import Session
from glassmind.reason.vote import tally, verifier_weights, vote
from glassmind.records import Completion, Cost, Problem
from glassmind.runs.recipe import SamplingConfig


@dataclass(frozen=True)
class Answer:
    """What the model answered.

    ``text`` is the answer of the method called ``method``, ``None`` if it found none; ``cost`` is
    what that took. ``votes`` maps every candidate to its number of chains, ``weighted`` to its
    share of the verifier's votes (empty where no verifier scored the chains). ``warning`` says if
    the answer is not to be trusted, and why.
    """

    question: str
    text: str | None
    chains: tuple[Completion, ...]
    votes: dict[str, int]
    weighted: dict[str, float]
    warning: str | None
    method: str = ""
    cost: Cost = field(default_factory=Cost)

    @property
    def best(self) -> Completion | None:
        """The chain to show: of those that gave the answer, the best scored (else likeliest)."""
        agreeing = [c for c in self.chains if vote([c]) == self.text and self.text is not None]
        return max(agreeing, key=lambda c: (c.score or 0.0, c.logprob), default=None)

    @property
    def replies(self) -> tuple[str, ...]:
        """Every chain as one text, reasoning and answer, as a person reads it."""
        return tuple(map(reply_text, self.chains))


def ask(
    questions: str | Sequence[str],
    model: Source = None,
    *,
    method: str = "",
    sampling: SamplingConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Answer | list[Answer]:
    """Answer one question, or several as one batch.

    ``model`` is whatever ``open_llm`` opens, a model that is open already (``load`` and
    ``load_pretrained`` return such, too), or ``None`` for the one that comes with the package;
    ``sampling`` replaces the model's own way of sampling. ``method`` is the name of one, by default
    the best that the model allows.

    Raises:
        UserError: there is no such model or method, the method needs what the model lacks, or a
            question is empty or too long for it.
    """
    several = [questions] if isinstance(questions, str) else list(questions)
    for question in several:
        check_question(question)
    llm = as_llm(model)
    problems = [Problem(str(n), asked_text(llm, q), "") for n, q in enumerate(several)]
    for problem in problems:
        llm.check(problem.question, llm.style)
    config = sampling or reply_sampling(llm)
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
    solutions = chosen.solve(problems, session, Budget(config.samples))
    answers = []
    for question, solution in zip(several, solutions, strict=True):
        chains = solution.trace.completions
        if all(c.finish == "length" and not c.cost.completion_tokens for c in chains):
            raise UserError(
                f"the question {question[:60]!r}... is too long for {llm.name}: shorten it"
            )
        answers.append(conclude(question, solution, chosen.name, llm.warning(question)))
    return answers[0] if isinstance(questions, str) else answers


def conclude(question: str, solution: Solution, method: str, warning: str | None) -> Answer:
    """A method's solution with what its chains vote for."""
    chains = solution.trace.completions
    votes, weighted = counted(chains)
    return Answer(
        question, solution.answer, chains, votes, weighted, warning, method, solution.cost
    )


def counted(chains: Sequence[Completion]) -> tuple[dict[str, int], dict[str, float]]:
    """Votes for each candidate, and its share of the verifier's votes where all are scored."""
    votes = {key: int(count) for key, count in tally(chains).items()}
    weighted: dict[str, float] = {}
    if chains and all(chain.score is not None for chain in chains):
        weights = tally(chains, verifier_weights(chains))
        total = sum(weights.values())
        weighted = {key: weight / total for key, weight in weights.items()}
    return votes, weighted
