"""The rungs as functions: the same samples in, one verdict per problem out.

Greedy rungs are given one completion a problem; the others share one set of sampled chains, so that
every comparison between them is paired: same problems, same samples, another way to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glassmind.grade import grade
from glassmind.reason.vote import answer_key, best_of, logprob_weights, verifier_weights, vote
from glassmind.records import Completion, Problem, Trace, Verdict

Method = Callable[[Problem, Sequence[Completion]], str | None]


def _any_right(problem: Problem, completions: Sequence[Completion]) -> str | None:
    right = [c for c in completions if c.answer is not None and grade(problem.answer, c.answer)]
    return answer_key(right[0]) if right else None


def _scores(completions: Sequence[Completion]) -> list[float]:
    return [c.score or 0.0 for c in completions]


METHODS: dict[str, Method] = {
    "base": lambda problem, c: answer_key(c[0]),
    "chain-of-thought": lambda problem, c: answer_key(c[0]),
    "single-sample": lambda problem, c: answer_key(c[0]),
    "self-consistency": lambda problem, c: vote(c),
    "log-probability-vote": lambda problem, c: vote(c, logprob_weights(c)),
    "verifier-vote": lambda problem, c: vote(c, verifier_weights(c)),
    "verifier-best-of-n": lambda problem, c: best_of(c, _scores(c)),
    "any-of-k": _any_right,
}
GREEDY = ("base", "chain-of-thought")
NEEDS_SCORES = ("verifier-vote", "verifier-best-of-n")


def verdicts(method: str, problems: Sequence[Problem], traces: Sequence[Trace]) -> list[Verdict]:
    """Answer every problem by ``method`` from its trace, and grade the answer."""
    answer = METHODS[method]
    results = []
    for problem, trace in zip(problems, traces, strict=True):
        one = method in (*GREEDY, "single-sample")
        used = trace.completions[:1] if one else trace.completions
        given = answer(problem, used)
        tokens = sum(len(c.token_ids) for c in used)
        right = given is not None and grade(problem.answer, given)
        results.append(Verdict(problem.id, given, right, tokens))
    return results
