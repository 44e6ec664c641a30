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
from dataclasses import dataclass

from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.llm import Source, as_llm
from glassmind.llm.llm import asked_text, check_question, reply_sampling
from glassmind.llm.replies import reply_text
from glassmind.progress import Progress, Silent, watched
from glassmind.reason.verify import score_traces
from glassmind.reason.vote import tally, verifier_weights, vote
from glassmind.records import Completion, Problem
from glassmind.runs.recipe import SamplingConfig


@dataclass(frozen=True)
class Answer:
    """What the model answered.

    ``votes`` maps every candidate to its number of chains, ``weighted`` to its share of the
    verifier's votes (empty without a verifier); ``text`` is the winner, ``None`` if no chain
    reached one. ``warning`` says if the answer is not to be trusted, and why.
    """

    question: str
    text: str | None
    chains: tuple[Completion, ...]
    votes: dict[str, int]
    weighted: dict[str, float]
    warning: str | None

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
    sampling: SamplingConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Answer | list[Answer]:
    """Answer one question, or several as one batch.

    ``model`` is whatever ``open_llm`` opens, a model that is open already (``load`` and
    ``load_pretrained`` return such, too), or ``None`` for the one that comes with the package;
    ``sampling`` replaces the model's own way of sampling.

    Raises:
        UserError: there is no such model, or a question is empty or too long for it.
    """
    several = [questions] if isinstance(questions, str) else list(questions)
    for question in several:
        check_question(question)
    llm = as_llm(model)
    problems = [Problem(str(n), asked_text(llm, q), "") for n, q in enumerate(several)]
    for problem in problems:
        llm.check(problem.question, llm.style)
    params = SamplingParams.of(sampling or reply_sampling(llm), seed=seed)
    total = len(problems) * params.samples
    with watched(progress or Silent(), "answering", total, "replies") as watch:
        traces = llm.sample(problems, params, llm.style, watch)
    if llm.scorer is not None and llm.tokenizer is not None and llm.style == "chain":
        traces = score_traces(llm.scorer, llm.tokenizer, problems, traces)
    answers = []
    for question, trace in zip(several, traces, strict=True):
        if all(c.finish == "length" and not c.cost.completion_tokens for c in trace.completions):
            raise UserError(
                f"the question {question[:60]!r}... is too long for {llm.name}: shorten it"
            )
        answers.append(conclude(question, trace.completions, llm.warning(question)))
    return answers[0] if isinstance(questions, str) else answers


def conclude(question: str, row: Sequence[Completion], warning: str | None) -> Answer:
    """What a question's chains vote for, by the verifier's scores where they have any."""
    weighted: dict[str, float] = {}
    if row[0].score is not None:
        weights = tally(row, verifier_weights(row))
        total = sum(weights.values())
        weighted = {key: weight / total for key, weight in weights.items()}
    votes = {key: int(count) for key, count in tally(row).items()}
    text = next(iter(weighted or votes), None)
    return Answer(question, text, tuple(row), votes, weighted, warning)
