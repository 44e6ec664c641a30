"""The list of all methods, in the order of the ladder.

Tables, JSON, the report, ``ask``, ``eval`` and ``/v1/reason`` take the methods from here. A new one
is a file in ``methods/`` and an entry in ``_BUILT_IN``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from glassmind.errors import UserError
from glassmind.reason.method import Method
from glassmind.reason.methods import (
    adaptive_vote,
    any_of_k,
    calculator,
    capped_thinking,
    chain_of_thought,
    checked_verifier_vote,
    checked_vote,
    direct,
    logprob_vote,
    longer_thinking,
    plain_chain,
    process_last,
    process_min,
    process_product,
    program_aided,
    program_aided_verifier_vote,
    refinement,
    reinforced_chain,
    reinforced_verifier_vote,
    reinforced_vote,
    score_vote,
    self_consistency,
    shape_vote,
    single_sample,
    step_beam,
    tree_search,
    verifier_best_of_n,
    verifier_vote,
    written_program,
)
from glassmind.reason.needs import Need

_BUILT_IN = (
    direct.METHOD,
    plain_chain.METHOD,
    chain_of_thought.METHOD,
    single_sample.METHOD,
    self_consistency.METHOD,
    logprob_vote.METHOD,
    verifier_vote.METHOD,
    verifier_best_of_n.METHOD,
    calculator.METHOD,
    longer_thinking.METHOD,
    capped_thinking.METHOD,
    adaptive_vote.METHOD,
    shape_vote.METHOD,
    checked_vote.METHOD,
    checked_verifier_vote.METHOD,
    score_vote.METHOD,
    process_product.METHOD,
    process_min.METHOD,
    process_last.METHOD,
    program_aided.METHOD,
    program_aided_verifier_vote.METHOD,
    written_program.METHOD,
    refinement.METHOD,
    step_beam.METHOD,
    tree_search.METHOD,
    reinforced_chain.METHOD,
    reinforced_vote.METHOD,
    reinforced_verifier_vote.METHOD,
    any_of_k.METHOD,
)
_registry = {method.name: method for method in _BUILT_IN}

_WHAT: dict[Need, str] = {
    "direct": "a model that answers directly",
    "chain": "a model that writes its steps",
    "steps": "chains that can be continued after any step",
    "instructions": "a model that follows instructions",
    "verifier": "a verifier",
    "reinforced": "a model that has learned from reward as well",
    "tokens": "weights in this process",
    "calculator": "a calculator (sampling.calculator)",
    "thinking": "tokens that mark the end of thinking",
    "answers": "the reference answers",
}


def methods() -> tuple[Method, ...]:
    """All methods, from the bottom of the ladder up."""
    return tuple(_registry.values())


def find(name: str) -> Method | None:
    """The method of that name; ``None`` if there is none, as in files of other versions."""
    return _registry.get(name)


def named(name: str) -> Method:
    """The method of that name.

    Raises:
        UserError: there is none.
    """
    method = _registry.get(name)
    if method is None:
        known = ", ".join(_registry)
        raise UserError(f"there is no method {name[:60]!r}; the methods are {known}")
    return method


def usable(has: Collection[Need]) -> list[Method]:
    """The methods whose needs are met."""
    return [method for method in methods() if method.needs <= set(has)]


def usual(has: Collection[Need]) -> list[Method]:
    """The methods that run where none is named: those whose needs are met, that are ``in_ladder``,
    and that have something to add."""
    return [m for m in usable(has) if m.in_ladder and not m.pointless_with & set(has)]


def require(method: Method, has: Collection[Need]) -> None:
    """Refuse a method whose needs are not met.

    Raises:
        UserError: with what is missing.
    """
    missing = method.needs - set(has)
    if missing:
        raise UserError(f"the method {method.name} needs {missing_in_words(missing)}")


def missing_in_words(needs: Collection[Need]) -> str:
    """What is missing and where to find it, as the end of an error message."""
    said = in_words(needs)
    if "answers" in needs:
        return f"{said}, which only glassmind eval and the ladder have"
    return f"{said}, and this model has none: use a run of glassmind ladder"


def in_words(needs: Collection[Need]) -> str:
    """Needs in words: ``a model that writes its steps and a verifier``."""
    return " and ".join(said for need, said in _WHAT.items() if need in needs)


def best(has: Collection[Need]) -> Method:
    """The default method: the highest on the ladder that is in the summary and can be used.

    Raises:
        UserError: no method can be used.
    """
    fitting = [m for m in usable(has) if m.in_summary and not m.ceiling]
    if not fitting:
        raise UserError("no method can be used with this model")
    return fitting[-1]


@contextmanager
def registered(method: Method) -> Iterator[Method]:
    """Register ``method`` at the top of the ladder while the block runs.

    Raises:
        ValueError: the name is taken.
    """
    if method.name in _registry:
        raise ValueError(f"there is a method {method.name!r} already")
    _registry[method.name] = method
    try:
        yield method
    finally:
        del _registry[method.name]
