"""A model as judge: which of two answers is better?

For answers without a checkable result, a judge compares two at a time (Zheng et al. 2023, MT-Bench,
arXiv 2306.05685). Judges prefer whatever comes first, so each pair is shown twice, the second time
swapped. Only a judgement that survives the swap counts; otherwise the vote is a tie. How often that
happened is reported, because a judge that always contradicts itself measures nothing. The votes
become scores by ``bradley_terry``.

The judge is any model that ``open_llm`` opens, in particular the address of an OpenAI-compatible
server. It is asked greedily.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from glassmind.errors import UserError
from glassmind.evaluate.autopsy import answered_by, highest_method
from glassmind.evaluate.bradley_terry import Score, Vote, scores
from glassmind.evaluate.columns import Column, table_lines
from glassmind.evaluate.graded_problems import GradedProblem
from glassmind.evaluate.graders import reply_of
from glassmind.evaluate.wording import p_phrase, percent
from glassmind.generate import SamplingParams
from glassmind.llm import LLM, Source, as_llm
from glassmind.pipeline.tasks.prompts import Prompt, shipped_prompt
from glassmind.progress import Progress, Silent, watched
from glassmind.quantity import quantity
from glassmind.records import Problem
from glassmind.statistics import mcnemar_exact

PROMPT = "judge-1"
LONGEST = 4_000
"""Only this many characters at the end of an answer are shown to the judge."""

_TOKENS = 512  # a judge may explain itself before its letter
_LETTER = re.compile(r"(?<![A-Za-z])([ABT])(?![A-Za-z'])")

Side = Literal["first", "second", "tie"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge said of a pair, in both orders; ``None`` where no letter was found.

    ``first`` and ``second`` are numbers of the models; ``shown`` is the verdict when the first was
    shown as A, ``swapped`` when it was shown as B, both from the view of the models.
    """

    question: str
    first: int
    second: int
    shown: Side | None
    swapped: Side | None

    @property
    def consistent(self) -> bool:
        """Whether the verdict survived the swap."""
        return self.shown is not None and self.shown == self.swapped

    @property
    def points(self) -> float:
        """For the first model: 1, 0, or 0.5 for a tie and for verdicts that contradict."""
        if not self.consistent:
            return 0.5
        return {"first": 1.0, "second": 0.0, "tie": 0.5}[str(self.shown)]


@dataclass(frozen=True, slots=True)
class Judged:
    """All judgements of ``judge`` on ``models``, and the scores in the order of the models."""

    judge: str
    prompt: Prompt
    models: tuple[str, ...]
    judgements: tuple[Judgement, ...]
    scores: tuple[Score, ...]

    @property
    def consistent(self) -> float:
        """The share of pairs whose verdict survived the swap."""
        return sum(one.consistent for one in self.judgements) / len(self.judgements)

    @property
    def unreadable(self) -> int:
        """Replies of the judge without a letter."""
        return sum((one.shown is None) + (one.swapped is None) for one in self.judgements)

    @property
    def picked_a(self) -> float:
        """The share of decided verdicts for the answer that was shown first; 0.5 is fair."""
        decided = [one.shown == "first" for one in self.judgements if one.shown in _SIDES]
        decided += [one.swapped == "second" for one in self.judgements if one.swapped in _SIDES]
        return sum(decided) / len(decided) if decided else 0.5


_SIDES = ("first", "second")


def judge_answers(
    judge: Source,
    evaluations: Sequence[Sequence[GradedProblem]],
    *,
    names: Sequence[str] = (),
    method: str = "",
    limit: int = 0,
    progress: Progress | None = None,
) -> Judged:
    """Have ``judge`` compare the answers of two or more evaluations, every pair on every problem
    that all of them have.

    ``names`` are those of the evaluations, by default of their models. ``method`` is the one whose
    answers are compared, by default the highest of each; ``limit`` takes the first problems.

    Raises:
        UserError: there are fewer than two evaluations, or they have no problem in common.
    """
    if len(evaluations) < 2:
        raise UserError(f"a judge compares two or more files, not {len(evaluations)}")
    by_question = [{problem.question: problem for problem in found} for found in evaluations]
    common = [q for q in by_question[0] if all(q in others for others in by_question)]
    if not common:
        raise UserError("the files have no problem in common")
    methods = [method or highest_method(found) for found in evaluations]
    prompt = shipped_prompt(PROMPT)
    asked: list[tuple[str, int, int]] = []
    texts: list[str] = []
    for question in common[: limit or None]:
        replies = [
            reply_of(answered_by(found[question], name))[-LONGEST:]
            for found, name in zip(by_question, methods, strict=True)
        ]
        for first, second in combinations(range(len(evaluations)), 2):
            asked.append((question, first, second))
            for a, b in ((first, second), (second, first)):
                texts.append(_filled(prompt.text, question, replies[a], replies[b]))
    llm = as_llm(judge)
    letters = _letters(llm, texts, progress or Silent())
    judgements = tuple(
        Judgement(question, first, second, _side(shown), _side(swapped, swap=True))
        for (question, first, second), shown, swapped in zip(
            asked, letters[::2], letters[1::2], strict=True
        )
    )
    votes = [Vote(one.question, one.first, one.second, one.points) for one in judgements]
    called = tuple(names) or tuple(found[0].model for found in evaluations)
    return Judged(llm.name, prompt, called, judgements, tuple(scores(votes, len(evaluations))))


def _filled(text: str, question: str, first: str, second: str) -> str:
    """The prompt with its three places filled; what is filled in is not searched for places."""
    values = {"question": question, "first": first, "second": second}
    return re.sub(r"\{(question|first|second)\}", lambda place: values[place[1]], text)


def _letters(llm: LLM, texts: Sequence[str], progress: Progress) -> list[str | None]:
    problems = [Problem(f"pair-{number}", text, "") for number, text in enumerate(texts)]
    params = SamplingParams(_TOKENS, temperature=0.0)
    with watched(progress, "judging", len(problems), "comparisons") as watch:
        traces = llm.sample(problems, params, "chain", watch)
    return [_letter("\n".join(trace.completions[0].steps)) for trace in traces]


def _letter(reply: str) -> str | None:
    """The last letter A, B or T that stands alone; ``None`` if there is none."""
    found = _LETTER.findall(reply)
    return found[-1] if found else None


def _side(letter: str | None, *, swap: bool = False) -> Side | None:
    if letter is None:
        return None
    sides: dict[str, Side] = {"A": "first", "B": "second", "T": "tie"}
    return sides[{"A": "B", "B": "A", "T": "T"}[letter] if swap else letter]


_COLUMNS = (
    Column("model", left=True),
    Column("score"),
    Column("95 % interval", rank=1),
    Column("points"),
)


def judged_text(found: Judged, width: int | None = None) -> str:
    """The scores, the best first, and how far the judge can be trusted."""
    ranked = sorted(zip(found.models, found.scores, strict=True), key=lambda pair: -pair[1].score)
    rows = [
        (name, f"{one.score:+.2f}", f"{one.low:+.2f} to {one.high:+.2f}", percent(one.points))
        for name, one in ranked
    ]
    pairs = len(found.judgements)
    lines = [
        *table_lines(_COLUMNS, rows, width),
        "",
        f"{quantity(pairs, 'pair')} judged by {found.judge}, each in both orders "
        f"(prompt {found.prompt.name}, {found.prompt.sha256})",
        f"the verdict survived the swap in {percent(found.consistent)} of the pairs; the answer "
        f"shown first was preferred in {percent(found.picked_a)} of the decided verdicts",
    ]
    if found.unreadable:
        verdicts = quantity(found.unreadable, "verdict")
        lines.append(f"{verdicts} without a letter, which count as contradictions")
    if len(found.models) == 2:
        won = sum(one.points == 1 for one in found.judgements)
        lost = sum(one.points == 0 for one in found.judgements)
        lines.append(
            f"{found.models[0]} won {won:,}, {found.models[1]} won {lost:,}; sign test: "
            f"{p_phrase(mcnemar_exact(won, lost))}"
        )
    return "\n".join(lines)


def judged_record(found: Judged) -> dict[str, object]:
    """The same for machines."""
    return {
        "judge": found.judge,
        "prompt": found.prompt.name,
        "prompt_hash": found.prompt.sha256,
        "pairs": len(found.judgements),
        "consistent": found.consistent,
        "picked_a": found.picked_a,
        "unreadable": found.unreadable,
        "models": [
            {
                "name": name,
                "score": one.score,
                "ci_low": one.low,
                "ci_high": one.high,
                "points": one.points,
            }
            for name, one in zip(found.models, found.scores, strict=True)
        ],
        "judgements": [
            {
                "question": one.question,
                "first": one.first,
                "second": one.second,
                "shown": one.shown,
                "swapped": one.swapped,
            }
            for one in found.judgements
        ],
    }
