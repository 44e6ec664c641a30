"""What the report shows beside the table: examples, votes by number of samples, attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from glassmind.evaluate.ladder.methods import verdicts
from glassmind.grade import check_steps, grade
from glassmind.model import Transformer, probe
from glassmind.reason.vote import tally, verifier_weights, vote
from glassmind.records import Completion, Problem, Trace
from glassmind.statistics import wilson_interval
from glassmind.tokenize import Tokenizer, encode_prompt

EXAMPLES_OF_EACH = 4
VOTING = (
    "self-consistency",
    "log-probability-vote",
    "verifier-vote",
    "verifier-best-of-n",
    "any-of-k",
)


def rows_by_votes(problems: Sequence[Problem], traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """Every voting method with the first 1, 2, 4, ... samples of each problem."""
    most = min(len(trace.completions) for trace in traces)
    sizes = [k for k in (2**n for n in range(11)) if k < most] + [most]
    rows = []
    for method in VOTING:
        for k in sizes:
            results = verdicts(method, problems, [trace.first(k) for trace in traces])
            correct = sum(v.correct for v in results)
            low, high = wilson_interval(correct, len(results))
            rows.append(
                {
                    "rung": method,
                    "k": k,
                    "n": len(results),
                    "correct": correct,
                    "ci_low": low,
                    "ci_high": high,
                    "tokens_per_problem": sum(v.tokens for v in results) / len(results),
                }
            )
    return rows


def examples(
    problems: Sequence[Problem],
    greedy: Sequence[Trace],
    traces: Sequence[Trace],
) -> list[dict[str, Any]]:
    """Four problems the verifier's vote solved and four it failed, with every chain.

    Of the solved ones, those come first where the samples disagreed most: there is something to
    see.
    """
    rows = []
    for problem, first, trace in zip(problems, greedy, traces, strict=True):
        row = trace.completions
        answer = vote(row, verifier_weights(row))
        solved = answer is not None and grade(problem.answer, answer)
        rows.append((len(tally(row)), solved, answer, problem, first.completions[0], row))
    rows.sort(key=lambda r: -r[0])
    chosen = [r for r in rows if r[1]][:EXAMPLES_OF_EACH]
    chosen += [r for r in rows if not r[1]][:EXAMPLES_OF_EACH]
    return [
        {
            "question": problem.question,
            "answer": problem.answer,
            "gold_steps": [step.text for step in problem.steps],
            "solved": solved,
            "chains": [_chain(problem, completion) for completion in row],
            "vote": {key: int(count) for key, count in tally(row).items()},
            "self_consistency": vote(row),
            "verifier": answer,
            "greedy": {"steps": list(first.steps), "answer": first.answer},
        }
        for _, solved, answer, problem, first, row in chosen
    ]


def _chain(problem: Problem, completion: Completion) -> dict[str, Any]:
    given = completion.answer
    return {
        "steps": list(completion.steps),
        "step_scores": list(completion.step_scores),
        "step_valid": [check.valid for check in check_steps(problem, completion.steps)],
        "answer": given,
        "correct": given is not None and grade(problem.answer, given),
        "logprob": completion.logprob,
        "score": completion.score,
    }


def attention_exhibit(
    model: Transformer, tokenizer: Tokenizer, problem: Problem, completion: Completion
) -> dict[str, Any] | None:
    """The head that looks back from the chain at single question tokens most sharply.

    ``None`` if the chain is empty.
    """
    prompt = encode_prompt(tokenizer, problem.question, "chain")
    ids = prompt + list(completion.token_ids)
    if not completion.token_ids:
        return None
    device = next(model.parameters()).device
    with (
        torch.inference_mode(),
        probe(model, read=["blocks.*.attention.weights"]) as seen,
    ):
        model(torch.tensor([ids], device=device))
    best = (-1.0, 0, 0)
    for layer in range(model.config.n_layers):
        weights_HTT = seen[f"blocks.{layer}.attention.weights"][0]
        sharpness_H = weights_HTT[:, len(prompt) :, 1 : len(prompt)].amax(-1).mean(-1)
        head = int(sharpness_H.argmax())
        best = max(best, (float(sharpness_H[head]), layer, head))
    _, layer, head = best
    weights = seen[f"blocks.{layer}.attention.weights"][0, head].float().cpu()
    return {
        "layer": layer,
        "head": head,
        "tokens": [tokenizer.token_text(i) for i in ids],
        "weights": [[round(float(w), 4) for w in row] for row in weights],
    }
