"""The text of the reply that a solution shows."""

from __future__ import annotations

from glassmind.reason.method import Solution


def reply_text(solution: Solution) -> str:
    """The steps of the chosen chain, one a line, and the answer, if it is not one of them."""
    chains = solution.trace.completions
    chosen = 0 if solution.chosen is None and len(chains) == 1 else solution.chosen
    lines = [] if chosen is None else list(chains[chosen].steps)
    if solution.answer is not None and not any(solution.answer in line for line in lines[-1:]):
        lines.append(solution.answer)
    return "\n".join(lines)
