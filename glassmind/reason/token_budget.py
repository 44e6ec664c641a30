"""A limit on the tokens of a problem, kept exactly.

A method that has a budget of tokens takes its chains in order and stops where the next one does not
fit. That chain is cut where the tokens run out: it stays in the trace, its tokens count as spent,
and it has no answer. So the cost is never above the budget, and never below what a run that was
stopped there would have spent.
"""

from __future__ import annotations

from dataclasses import replace

from glassmind.records import OUTCOME, Cost, Node, Trace


def spent(cost: Cost) -> int:
    """The tokens that a budget counts: those written, and those judged by a verifier."""
    return cost.completion_tokens + cost.judged_tokens


def within(trace: Trace, tokens: int | None) -> Trace:
    """``trace`` with as many of its chains, from the first on, as ``tokens`` tokens pay for.

    The chain that does not fit any more is cut; the chains after it are left out. ``trace`` is a
    forest without branches; what its prompt cost is not counted. ``None`` is no limit.
    """
    if tokens is None or spent(trace.cost) - spent(trace.prompt_cost) <= tokens:
        return trace
    left, kept = tokens, []
    for completion in trace.completions:
        price = sum(spent(node.cost) for node in completion.nodes)
        if price > left:
            kept.append(_cut(completion.nodes, left))
            break
        kept.append(list(completion.nodes))
        left -= price
    return Trace.of_chains(trace.problem_id, kept, trace.prompt_cost)


def _cut(nodes: tuple[Node, ...], tokens: int) -> list[Node]:
    """The beginning of a chain that may write ``tokens`` tokens: whole nodes, and then an unclosed
    one with the rest, which ends the chain without an answer."""
    kept: list[Node] = []
    for node in nodes[:-1]:
        if node.cost.completion_tokens > tokens:
            break
        tokens -= node.cost.completion_tokens
        kept.append(_unjudged(node))
    last = nodes[len(kept)]
    written = min(tokens, last.cost.completion_tokens)
    share = written / last.cost.completion_tokens if last.cost.completion_tokens else 0.0
    scores = {OUTCOME: 0.0} if OUTCOME in nodes[-1].scores else {}
    kept.append(
        replace(
            _unjudged(last),
            text="",
            token_ids=last.token_ids[:written],
            logprobs=last.logprobs[:written],
            sampled_logprobs=last.sampled_logprobs[:written],
            closed=False,
            finish="length",
            answer=None,
            scores=scores,
            cost=Cost(completion_tokens=written, seconds=last.cost.seconds * share),
        )
    )
    return kept


def _unjudged(node: Node) -> Node:
    """A node that no verifier has read, as in a chain that was not finished."""
    cost = Cost(completion_tokens=node.cost.completion_tokens, seconds=node.cost.seconds)
    return replace(node, scores={}, cost=cost)
