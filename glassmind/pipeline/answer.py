"""A model's answer to a question, with the evidence for and against it, and how it is printed.

An answer is shown with the chain that the method chose, a mark at every equation that can be
checked, the votes, the probability that it is right, and warnings about anything that speaks
against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from glassmind.grade.bare_arithmetic import Calculation, bare_arithmetic
from glassmind.grade.chain_checks import ChainChecks, check_chain
from glassmind.llm.replies import reply_text
from glassmind.notebook import preformatted
from glassmind.reason.confidence import Calibration, gather
from glassmind.reason.method import Solution
from glassmind.reason.vote import heaviest, tally, verifier_weights
from glassmind.records import Completion, Cost

CALCULATOR = "calculator"
"""The value of ``Answer.method`` if exact arithmetic answered and no model was asked."""

DOUBTFUL = 0.5
"""An answer with less confidence than this has a warning."""

_MOST_SHOWN = 6


@dataclass(frozen=True)
class Answer:
    """What the model answered.

    ``text`` is the answer of the method called ``method``, ``None`` if it found none; ``cost`` is
    the cost of finding it. ``votes`` maps every candidate to its number of chains, ``weighted`` to
    its share of the verifier's votes (empty if no verifier scored the chains). ``chosen`` is the
    number of the chain that the method took, or else the one with the highest score that voted for
    the answer.

    ``confidence`` is the probability that the answer is right (``reason.confidence``), ``None`` if
    the model's folder has no calibration. ``warnings`` say why not to trust it, one sentence each;
    ``examples`` are questions to ask instead, if the question is unlike all of the training data.
    If the question was bare arithmetic, ``calculation`` is its exact value.
    """

    question: str
    text: str | None
    chains: tuple[Completion, ...]
    votes: dict[str, int]
    weighted: dict[str, float]
    warnings: tuple[str, ...] = ()
    method: str = ""
    cost: Cost = field(default_factory=Cost)
    chosen: int | None = None
    confidence: float | None = None
    examples: tuple[str, ...] = ()
    calculation: Calculation | None = None

    @property
    def warning(self) -> str | None:
        """All warnings as one text, ``None`` if there are none."""
        return "; ".join(self.warnings) or None

    @property
    def best(self) -> Completion | None:
        """The chain to show: the one that the method chose."""
        return None if self.chosen is None else self.chains[self.chosen]

    @cached_property
    def checks(self) -> tuple[ChainChecks, ...]:
        """The exact checks of every chain."""
        return tuple(check_chain(c.steps, c.answer, self.question) for c in self.chains)

    @property
    def replies(self) -> tuple[str, ...]:
        """Every chain as one text, reasoning and answer."""
        return tuple(map(reply_text, self.chains))

    def __str__(self) -> str:
        return "\n".join(line for line, _ in answer_lines(self))

    def _repr_html_(self) -> str:
        return preformatted(str(self))


def by_calculator(question: str) -> Answer | None:
    """The answer to a question that is bare arithmetic, ``None`` for any other."""
    sum_ = bare_arithmetic(question)
    if sum_ is None:
        return None
    return Answer(question, sum_.answer, (), {}, {}, method=CALCULATOR, calculation=sum_)


def conclude(
    question: str,
    solution: Solution,
    method: str,
    *,
    warning: str | None = None,
    strangeness: float | None = None,
    calibration: Calibration | None = None,
    examples: Sequence[str] = (),
) -> Answer:
    """A method's solution as an answer, with the votes of its chains and with warnings.

    ``warning`` is about the question itself, ``strangeness`` says how unlike the training data it
    is, and ``examples`` are questions to ask instead, if it has a warning.
    """
    chains = solution.trace.completions
    chosen = solution.chosen
    if chosen is None:  # the method does not say which chain it took
        scores = [chain.score or 0.0 for chain in chains]
        chosen = heaviest(chains, solution.answer, scores)
    chain = None if chosen is None else chains[chosen]
    found = () if chain is None else _findings(question, chain)
    evidence = None
    if calibration is not None:
        evidence = gather(question, chains, solution.answer, chain, strangeness)
    confidence = None
    if evidence is not None and calibration is not None:
        confidence = calibration.confidence(evidence)
    warnings = ([warning] if warning else []) + list(found)
    calculation = bare_arithmetic(question)
    if calculation is not None and solution.answer not in (None, calculation.answer):
        warnings.append(f"exact arithmetic says {calculation.equation}")
    if confidence is not None and confidence < DOUBTFUL and not warnings:
        warnings.append(f"answers like this one are right about {confidence:.0%} of the time")
    votes, weighted = counted(chains)
    return Answer(
        question,
        solution.answer,
        chains,
        votes,
        weighted,
        tuple(warnings),
        method,
        solution.cost,
        chosen,
        confidence,
        tuple(examples) if warning else (),
        calculation,
    )


def _findings(question: str, chain: Completion) -> tuple[str, ...]:
    return check_chain(chain.steps, chain.answer, question).findings(chain.answer)


def counted(chains: Sequence[Completion]) -> tuple[dict[str, int], dict[str, float]]:
    """Votes for each candidate, and its share of the verifier's votes if all are scored."""
    votes = {key: int(count) for key, count in tally(chains).items()}
    weighted: dict[str, float] = {}
    if chains and all(chain.score is not None for chain in chains):
        weights = tally(chains, verifier_weights(chains))
        total = sum(weights.values())
        weighted = {key: weight / total for key, weight in weights.items()}
    return votes, weighted


def answer_lines(answer: Answer, *, every_chain: bool = False) -> list[tuple[str, str]]:
    """The answer as lines of text, each with its style in a terminal (``""`` is plain)."""
    lines = [(answer.question.strip(), "bold")]
    if answer.method == CALCULATOR and answer.calculation is not None:
        lines.append((f"  {answer.calculation.equation}", ""))
        lines.append(("  computed exactly; no model was asked", "dim"))
    shown = range(len(answer.chains)) if every_chain else [answer.chosen]
    for number in shown:
        if number is not None:
            lines += _chain_lines(answer, number, numbered=every_chain)
    if answer.chains:
        n = len(answer.chains)
        votes = [f"{key}: {votes} of {n}" for key, votes in answer.votes.items()][:_MOST_SHOWN]
        lines.append((f"  votes       {', '.join(votes) or 'none: no chain reached a number'}", ""))
    if answer.weighted:
        shares = [f"{k}: {share:.0%}" for k, share in answer.weighted.items()][:_MOST_SHOWN]
        about = "share of the votes, each weighted by the verifier's score of its chain"
        lines.append((f"  weighted    {', '.join(shares)}  ({about})", ""))
    lines.append((f"  answer      {'—' if answer.text is None else answer.text}", "bold green"))
    if answer.confidence is not None:
        said = f"  confidence  {answer.confidence:.0%} that the answer is right"
        lines.append((said, "" if answer.confidence >= DOUBTFUL else "yellow"))
    lines += [(f"  warning: {warning}", "yellow") for warning in answer.warnings]
    if answer.examples:
        lines.append(("  what can be asked, for example:", "dim"))
        lines += [(f"    {example}", "dim") for example in answer.examples]
    return lines


def _chain_lines(answer: Answer, number: int, *, numbered: bool) -> list[tuple[str, str]]:
    chain, checks = answer.chains[number], answer.checks[number]
    title = f"chain {number + 1}" if numbered else "steps"
    belief = "" if chain.score is None else f", verifier score {chain.score:.0%}"
    lines = [(f"  {title} (answer {chain.answer}{belief})", "dim")]
    for at, step in enumerate(chain.steps):
        score = f"   {chain.step_scores[at]:.0%}" if len(chain.step_scores) > at else ""
        false = checks.holds[at] is False
        mark = "   ✗ false" if false else ""
        lines.append((f"    {at + 1}. {step}{score}{mark}", "red" if false else ""))
    if checks.answer_differs:
        lines.append((f"    ✗ the answer is not the last step's {checks.last_value}", "red"))
    return lines
