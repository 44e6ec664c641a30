"""Converts files of runs whose ``ladder.json`` has schema 1 to today's schema.

In schema 1 the stage and method that answer without steps were called ``base``, a row's costs were
the tokens sampled and the seconds of the whole slice, and an example was a list of chains. Each
function takes parsed JSON and returns what today's record reads; anything that does not look like
schema 1 is returned as it is, for the record to accept or refuse. Former names occur in this file
only.
"""

from __future__ import annotations

from typing import Any

from glassmind.errors import UserError

FORMER = {"base": "direct"}
"""Old and new names of stages and methods."""

_GREEDY = "chain-of-thought"  # the method whose chain was kept in addition to the samples
_ANSWERS = {"self_consistency": "self-consistency", "verifier": "verifier-vote"}


def renamed(value: Any) -> Any:
    """The new name of a stage or method; anything else is returned as it is."""
    return FORMER.get(value, value) if isinstance(value, str) else value


def with_renamed(rows: Any, *names: str) -> Any:
    """A list of objects with new names in the members ``names``."""
    if not isinstance(rows, list):
        return rows
    return [
        {key: renamed(value) if key in names else value for key, value in row.items()}
        if isinstance(row, dict)
        else row
        for row in rows
    ]


def ladder_of_schema_1(value: Any) -> Any:
    """A ladder. Tokens that schema 1 did not count are left out, so that they are unknown."""
    if not isinstance(value, dict) or value.get("schema") != 1:
        return value
    rows = []
    for row in with_renamed(value.get("rows"), "rung", "against") or ():
        if isinstance(row, dict):
            row["comparisons"] = with_renamed(row.get("comparisons", []), "against")
            if "tokens_per_problem" in row:
                row["completion_tokens"] = row.pop("tokens_per_problem")
            n, seconds = row.get("n"), row.get("seconds")
            if isinstance(n, int) and isinstance(seconds, (int, float)):
                row["seconds"] = seconds / max(1, n)
        rows.append(row)
    if not isinstance(value.get("rows"), list):
        return value
    return {**value, "schema": 2, "rows": rows}


def examples_of_schema_1(value: Any, where: str) -> Any:
    """Examples: chains become the nodes of a trace.

    Raises:
        UserError: a chain has more marks than steps.
    """
    if not isinstance(value, list):
        return value
    return [
        _example(item, f"{where}: {number}")
        if isinstance(item, dict) and isinstance(item.get("chains"), list)
        else item
        for number, item in enumerate(value)
    ]


def _example(old: dict[str, Any], where: str) -> dict[str, Any]:
    nodes: list[Any] = []
    for number, chain in enumerate(old["chains"]):
        if not isinstance(chain, dict) or not isinstance(chain.get("steps"), list):
            raise UserError(f"{where}.chains.{number} must be an object with a list of steps")
        nodes += _nodes(chain, len(nodes), f"{where}.chains.{number}")
    verified = old.get("verifier") is not None
    new = {key: value for key, value in old.items() if key in _KEPT}
    new["method"] = _ANSWERS["verifier" if verified else "self_consistency"]
    new["nodes"] = nodes
    new["answers"] = {
        name: old.get(key) for key, name in _ANSWERS.items() if key != "verifier" or verified
    }
    greedy = old.get("greedy")
    if isinstance(greedy, dict):
        new["answers"] = {_GREEDY: greedy.get("answer"), **new["answers"]}
        new["single_chains"] = [{"method": _GREEDY, **greedy}]
    return new


_KEPT = ("question", "answer", "gold_steps", "solved", "vote")


def _nodes(chain: dict[str, Any], first: int, where: str) -> list[dict[str, Any]]:
    """A chain as nodes that continue each other; ``first`` is the index of the first one."""
    marks = {}
    for name, new in (("step_scores", "step_score"), ("step_valid", "valid")):
        values = chain.get(name, [])
        if not isinstance(values, list) or len(values) > len(chain["steps"]):
            raise UserError(f"{where} has more marks than steps")
        marks[new] = values
    nodes: list[dict[str, Any]] = [{"kind": "step", "text": text} for text in chain["steps"]]
    for name, values in marks.items():
        for node, value in zip(nodes, values, strict=False):
            node[name] = value
    answer = chain.get("answer")
    end: dict[str, Any] = {"kind": "answer", "text": "" if answer is None else answer}
    nodes.append(end)
    for name in ("answer", "correct", "logprob", "score"):
        if chain.get(name) is not None:
            end[name] = chain[name]
    for position, node in enumerate(nodes):
        node["parent"] = first + position - 1 if position else None
    return nodes
