"""The files of a run's report besides the table: votes by samples, examples, attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from glassmind.evaluate.dependency_attention import head_shares
from glassmind.evaluate.examples import Example, ExampleNode, SingleChain
from glassmind.evaluate.ladder.grading import verdicts
from glassmind.evaluate.ladder.rows import votes_row
from glassmind.evaluate.run_files import Attention, DependencyAttention, VotesRow
from glassmind.generate.calculator import annotated
from glassmind.grade import check_steps, grade
from glassmind.llm import LocalLLM
from glassmind.model import Transformer, probe
from glassmind.reason import registry
from glassmind.reason.method import Budget, Solution
from glassmind.reason.session import Session
from glassmind.reason.vote import tally
from glassmind.records import OUTCOME, PROCESS, Completion, Problem, Trace

EXAMPLES_OF_EACH = 4
LOOKED_AT = 100  # problems over which attention is averaged


def rows_by_votes(problems: Sequence[Problem], session: Session, budget: Budget) -> list[VotesRow]:
    """Every method that scales, with 1, 2, 4, ... samples of each problem up to the budget."""
    most = budget.samples
    sizes = [k for k in (2**n for n in range(11)) if k < most] + [most]
    rows = []
    for method in registry.usual(session.has):
        for k in sizes if method.scales else ():
            solutions = method.solve(problems, session, Budget(k))
            rows.append(votes_row(method, k, verdicts(problems, solutions)))
    return rows


def examples(
    problems: Sequence[Problem], solutions: Mapping[str, Sequence[Solution]]
) -> list[Example]:
    """Four problems that the highest method of the summary solved, and four that it failed.

    Among the solved problems, those whose samples disagreed most come first.
    """
    shown = [
        method.name
        for method in registry.methods()
        if method.in_summary and not method.ceiling and method.name in solutions
    ]
    if not shown:
        return []
    rows = []
    for number, problem in enumerate(problems):
        found = {name: solutions[name][number] for name in shown}
        top = found[shown[-1]]
        solved = top.answer is not None and grade(problem.answer, top.answer)
        rows.append((len(tally(top.trace.completions)), solved, problem, found))
    rows.sort(key=lambda row: -row[0])
    chosen = [row for row in rows if row[1]][:EXAMPLES_OF_EACH]
    chosen += [row for row in rows if not row[1]][:EXAMPLES_OF_EACH]
    return [_example(problem, solved, found) for _, solved, problem, found in chosen]


def _example(problem: Problem, solved: bool, found: Mapping[str, Solution]) -> Example:
    *_, method = found
    trace = found[method].trace
    single = [
        _single_chain(problem, name, solution)
        for name, solution in found.items()
        if len(solution.trace.completions) == 1 and solution.trace.completions[0].steps
    ]
    return Example(
        question=problem.question,
        answer=problem.answer,
        gold_steps=tuple(step.text for step in problem.steps),
        method=method,
        solved=solved,
        nodes=_nodes(problem, trace),
        vote={key: int(count) for key, count in tally(trace.completions).items()},
        answers={name: solution.answer for name, solution in found.items()},
        single_chains=tuple(single),
    )


def _single_chain(problem: Problem, method: str, solution: Solution) -> SingleChain:
    steps = solution.trace.completions[0].steps
    valid = tuple(check.valid for check in check_steps(problem, steps))
    return SingleChain(method, steps, solution.answer, valid)


def _nodes(problem: Problem, trace: Trace) -> tuple[ExampleNode, ...]:
    valid: dict[int, bool | None] = {}
    for completion in trace.completions:
        checks = check_steps(problem, completion.steps)
        # In free text, lines are steps but not nodes; only steps that are nodes are marked.
        for index, check in zip(completion.step_ends, checks, strict=False):
            valid[index] = check.valid
    paths = {completion.path[-1]: completion for completion in trace.completions}
    return tuple(
        ExampleNode(
            parent=node.parent,
            kind=node.kind,
            text=node.text,
            author=node.author,
            closed=node.closed,
            answer=node.answer,
            correct=index in paths and _correct(problem, paths[index]),
            logprob=sum(node.logprobs),
            score=node.scores.get(OUTCOME),
            step_score=node.scores.get(PROCESS),
            valid=valid.get(index),
        )
        for index, node in enumerate(trace.nodes)
    )


def _correct(problem: Problem, completion: Completion) -> bool:
    return completion.answer is not None and grade(problem.answer, completion.answer)


def dependencies(
    untrained: Transformer, llm: LocalLLM, problems: Sequence[Problem]
) -> DependencyAttention:
    """Which heads look where operands come from, before training and after, on a few problems."""
    calculator = llm.recipe is not None and llm.recipe.sampling.calculator
    write = annotated if calculator else str
    before, after = (
        head_shares(model, llm.tokenizer, problems[:LOOKED_AT], write)
        for model in (untrained.eval(), llm.model)
    )
    return DependencyAttention(before, after)


def sharpest_head(llm: LocalLLM, problem: Problem, completion: Completion) -> Attention | None:
    """The head whose attention from the chain to single question tokens is sharpest.

    ``None`` if the chain is empty.
    """
    model, prompt = llm.model, llm.prompt(problem.question, "chain")
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
    return Attention(
        layer=layer,
        head=head,
        tokens=tuple(llm.tokenizer.token_text(i) for i in ids),
        weights=tuple(tuple(round(float(w), 4) for w in row) for row in weights),
    )
