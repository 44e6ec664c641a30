"""Is each written step right? Exact prefix-correctness, by following the derivation game.

A model's chain is checked step by step. ``arithmetic`` says only whether the equation holds.
``valid`` says whether the step is a legal move of the problem's game (``grade.structure``) after
the steps before it, all of which must have been valid: once a chain has gone wrong it stays wrong
(the notion behind PRM800K's "first error", Lightman et al. 2023, arXiv 2305.20050). Labels and
wording are free; only the last equation of a step's text counts.

Members are matched by value. If two have the same value, a step may mean either, so the checker
keeps every position that the game can be in and drops those that a later step contradicts: a chain
is valid if *some* reading of it is. For a position only the multiset of signed values of each node
matters, so there are few positions; their number is limited as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.grade.arithmetic import Equation, read_equation
from glassmind.grade.structure import Structure, structure_of
from glassmind.records import Problem

MAX_POSITIONS = 256
"""Readings of a chain beyond this many are not followed."""

# A node's available members, sorted; a member is 2 * value, plus 1 where subtracted or a divisor.
_Position = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class StepCheck:
    """The result of checking one written step.

    ``arithmetic``: its equation holds. ``valid``: it and all steps before it are legal moves;
    ``None`` if the problem has no derivation to check against. ``complete``: the chain up to
    here is valid and the game is finished, so that the step's result is the answer.
    """

    arithmetic: bool
    valid: bool | None
    complete: bool


def check_steps(problem: Problem, steps: Sequence[str]) -> list[StepCheck]:
    """One ``StepCheck`` for every text in ``steps``, in order.

    A chain is right when its last check is ``complete`` and its answer is the problem's.
    """
    structure = structure_of(problem)
    game = None if structure is None else _Game(structure, problem)
    checks: list[StepCheck] = []
    for text in steps:
        equation = read_equation(text)
        arithmetic = equation is not None and equation.holds
        if game is None:
            checks.append(StepCheck(arithmetic, None, False))
        else:
            valid = game.play(equation if arithmetic else None)
            checks.append(StepCheck(arithmetic, valid, valid and game.finished))
    return checks


class _Game:
    """All positions that the chain so far may have led to; if none is left, it went wrong."""

    def __init__(self, structure: Structure, problem: Problem) -> None:
        start: list[tuple[int, ...]] = []
        self.parents: list[list[tuple[int, int]]] = [[] for _ in structure.nodes]
        self.products = [node.product for node in structure.nodes]
        # Moves a node needs: one fewer than its members. A node is finished when none is left.
        self.moves = [len(node.members) - 1 for node in structure.nodes]
        for n, node in enumerate(structure.nodes):
            available = []
            for member in node.members:
                if member.node < 0:
                    value = int(problem.steps[member.step].operands[member.side])
                    available.append(2 * value + member.inverse)
                else:
                    self.parents[member.node].append((n, int(member.inverse)))
            start.append(tuple(sorted(available)))
        self.positions: set[tuple[_Position, tuple[int, ...]]] = {(tuple(start), tuple(self.moves))}
        self.left = sum(self.moves)

    @property
    def finished(self) -> bool:
        """True when the last node has been played out."""
        return self.left == 0

    def play(self, equation: Equation | None) -> bool:
        """Make the move ``equation`` in every position that allows it; False if none does."""
        if equation is None or not equation.operator:
            self.positions = set()
        reached: set[tuple[_Position, tuple[int, ...]]] = set()
        for position, moves in self.positions:
            assert equation is not None
            for n, available in enumerate(position):
                if self.products[n] == (equation.operator in "*/") and len(available) > 1:
                    for after in _combine(available, equation):
                        reached.add(self._reach(position, moves, n, after))
                        if len(reached) >= MAX_POSITIONS:
                            break
        self.positions = reached
        self.left -= 1
        return bool(reached)

    def _reach(
        self, position: _Position, moves: tuple[int, ...], n: int, after: tuple[int, ...]
    ) -> tuple[_Position, tuple[int, ...]]:
        """The position after node ``n`` has become ``after``, its result handed on if finished."""
        nodes = list(position)
        nodes[n] = after
        left = list(moves)
        left[n] -= 1
        if left[n] == 0:
            nodes[n] = ()
            for parent, inverse in self.parents[n]:
                nodes[parent] = tuple(sorted((*nodes[parent], after[0] + inverse)))
        return tuple(nodes), tuple(left)


def _combine(available: tuple[int, ...], equation: Equation) -> list[tuple[int, ...]]:
    """The members left after the move, for each reading of it this node allows (0, 1 or 2)."""
    a, b, c = 2 * equation.left, 2 * equation.right, 2 * equation.result
    readings = [(a, b + 1, c)]
    if equation.operator in "+*":
        readings = [(a, b, c), (a + 1, b + 1, c + 1)]
    after: list[tuple[int, ...]] = []
    for one, two, made in readings:
        rest = list(available)
        try:
            rest.remove(one)
            rest.remove(two)
        except ValueError:
            continue
        rest.append(made)
        rest.sort()
        after.append(tuple(rest))
    return after
