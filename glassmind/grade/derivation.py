"""Playing the derivation game: one problem, many valid ways to write its solution.

The canonical solution is one play of the game of ``grade.structure``. Three probabilities say how
often a move departs from it:

* ``reorder``: work on any node that can move instead of the next in the story; inside a node,
  combine the running result with any partner instead of the next;
* ``regroup``: combine any two members that may be combined;
* ``swap``: write ``b+a`` for ``a+b`` and ``b*a`` for ``a*b``.

If all are zero, the result is the canonical solution. Training on several valid orders makes the
errors of a model's samples less alike, which voting over samples needs (Wang et al. 2022, arXiv
2203.11171).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from glassmind.grade.structure import Node, structure_of
from glassmind.records import Problem, Step


class _Piece(NamedTuple):
    """A member in play: the leaves it combines (bit mask), its value, sign, and written step."""

    mask: int
    value: int
    inverse: bool
    step: int | None


class _Move(NamedTuple):
    """Two pieces of one node and what they make."""

    left: _Piece
    right: _Piece
    operator: str
    value: int
    inverse: bool


def sample_solution(
    problem: Problem, rng: random.Random, *, regroup: float, reorder: float, swap: float
) -> tuple[Step, ...]:
    """A random valid solution of ``problem``, with the same answer as the canonical steps.

    A step that computes the same as a canonical step keeps its label; others are called "so far"
    (if they contain the first quantity of their node) or "together". Moves whose result has more
    digits than any number of the canonical solution are avoided if there are others. For problems
    without a derivation (see ``structure.structure_of``) the result is their own steps.
    """
    if not (regroup or reorder or swap):
        return problem.steps
    structure = structure_of(problem)
    if structure is None:
        return problem.steps
    canonical = problem.steps
    u = rng.random
    limit = 10 ** max(len(number) for s in canonical for number in (*s.operands, s.value)) - 1
    nodes = structure.nodes
    pieces: list[list[_Piece]] = []
    parents: list[list[tuple[int, int, bool]]] = [[] for _ in nodes]
    for n, node in enumerate(nodes):
        mine: list[_Piece] = []
        for bit, (inverse, step, side, child) in enumerate(node.members):
            if child < 0:
                mine.append(_Piece(1 << bit, int(canonical[step].operands[side]), inverse, None))
            else:
                parents[child].append((n, 1 << bit, inverse))
        pieces.append(mine)
    done = [0] * len(nodes)
    running = [1] * len(nodes)  # by node, the mask of its latest result
    moves_of: dict[int, list[_Move]] = {}
    for n in range(len(nodes)):
        _update(moves_of, n, nodes[n], pieces[n])
    written: list[Step] = []
    while len(written) < len(canonical):
        if len(moves_of) > 1 and u() < reorder:
            ready = list(moves_of)
            n = ready[int(u() * len(ready))]
        else:
            n = min(moves_of, key=lambda m: nodes[m].merges[done[m]][0])
        move = _choose(nodes[n], moves_of[n], running[n], u, regroup, reorder, limit)
        left, right = move.left, move.right
        if move.operator in "+*" and u() < swap:
            left, right = right, left
        mask = left.mask | right.mask
        label = _label(nodes[n], mask, move.inverse, canonical)
        written.append(
            Step(
                text=f"{label}: {left.value}{move.operator}{right.value}={move.value}",
                operator=move.operator,
                operands=(str(left.value), str(right.value)),
                value=str(move.value),
                uses=(left.step, right.step),
                label=label,
            )
        )
        made = _Piece(mask, move.value, move.inverse, len(written) - 1)
        running[n] = mask
        pieces[n] = [p for p in pieces[n] if not p.mask & mask]
        _insert(pieces[n], made)
        done[n] += 1
        _update(moves_of, n, nodes[n], pieces[n])
        if done[n] == len(nodes[n].merges):
            for parent, bit, inverse in parents[n]:
                _insert(pieces[parent], _Piece(bit, made.value, inverse, made.step))
                _update(moves_of, parent, nodes[parent], pieces[parent])
    return tuple(written)


def _insert(pieces: list[_Piece], new: _Piece) -> None:
    """Keep pieces ordered by their first leaf: the order in which the story wrote them."""
    first = new.mask & -new.mask
    at = 0
    while at < len(pieces) and pieces[at].mask & -pieces[at].mask < first:
        at += 1
    pieces.insert(at, new)


def _update(moves_of: dict[int, list[_Move]], n: int, node: Node, pieces: list[_Piece]) -> None:
    """Record the legal moves of node ``n``; a node without any is not in ``moves_of``."""
    moves = _legal_moves(node.product, pieces) if len(pieces) > 1 else []
    if moves:
        moves_of[n] = moves
    else:
        moves_of.pop(n, None)


def _legal_moves(product: bool, pieces: list[_Piece]) -> list[_Move]:
    """Every move of two available pieces of one node, in the order of the pieces."""
    moves: list[_Move] = []
    for i, a in enumerate(pieces):
        for b in pieces[i + 1 :]:
            if a.inverse == b.inverse:
                if product:
                    moves.append(_Move(a, b, "*", a.value * b.value, a.inverse))
                else:
                    moves.append(_Move(a, b, "+", a.value + b.value, a.inverse))
                continue
            plain, inverse = (b, a) if a.inverse else (a, b)
            if not product:
                if plain.value >= inverse.value:
                    moves.append(_Move(plain, inverse, "-", plain.value - inverse.value, False))
            elif plain.value % inverse.value == 0:
                moves.append(_Move(plain, inverse, "/", plain.value // inverse.value, False))
    return moves


def _choose(
    node: Node,
    moves: list[_Move],
    running: int,
    u: Callable[[], float],
    regroup: float,
    reorder: float,
    limit: int,
) -> _Move:
    """One of the node's legal moves: any, one with the ``running`` result, or the canonical one."""
    if len(moves) > 1 and u() < regroup:
        return _any(moves, u, limit)
    if len(moves) > 1 and u() < reorder:
        onward = [move for move in moves if running in (move.left.mask, move.right.mask)]
        return _any(onward or moves, u, limit)
    for _, left, right in node.merges:
        for move in moves:
            if move.left.mask == left and move.right.mask == right:
                return move
    return next((move for move in moves if running in (move.left.mask, move.right.mask)), moves[0])


def _any(moves: list[_Move], u: Callable[[], float], limit: int) -> _Move:
    """A random move, among those whose result is within ``limit`` where there are any."""
    small = [move for move in moves if move.value <= limit] or moves
    return small[int(u() * len(small))]


def _label(node: Node, mask: int, inverse: bool, canonical: tuple[Step, ...]) -> str:
    """The label of the canonical step that makes the same piece; otherwise a generic label."""
    for step, left, right in node.merges:
        if left | right == mask:
            return canonical[step].label
    return "so far" if mask & 1 and not inverse else "together"
