"""A solution as a game of combining quantities.

``20+36=56; 56-5=51`` is one way to work out 20+36-5; ``20-5=15; 15+36=51`` is another. A story's
canonical steps are therefore read as a *derivation*: every maximal chain of ``+`` and ``-`` is
flattened into one **sum** node whose members carry a sign, every chain of ``*`` and ``/`` into one
**product** node of factors and divisors. A result that is used more than once (or whose removal
would need a sign change: the subtracted ``b-c`` of ``a-(b-c)``) stays a node of its own.

The game: a member is *available* when it is a number of the question or its own node is finished.
A **move** combines two available members of one node and writes one step:

    sum      +a, +b -> +(a+b)      +a, -b -> +(a-b) where a >= b      -a, -b -> -(a+b)
    product   a,  b ->  a*b         a, /b ->  a/b  where b divides a   /a, /b -> /(a*b)

A node is finished when one member is left, the game when the last node is. No legal move makes the
game impossible to finish: the positive members of a sum are always larger than the others together,
and the product of the factors of a product is divisible by its divisors. So random play gives a
different valid solution (``grade.derivation``), and a model's step is right if it is a legal move
(``grade.steps``).
Rewriting by the distributive law (3*12+3*5 as 3*17) is outside the game and not recognised.

The structure depends only on the operators and on which step uses which, so it is parsed once
for each such pattern and shared by all problems that have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from glassmind.records import Problem, Step

MAX_STEPS = 32
"""Longer solutions are not parsed: they would make the checker's game too large."""

SIGNS = {"+": "+-", "-": "+-", "*": "*/", "/": "*/"}
Uses = tuple[tuple[int | None, ...], ...]


class Member(NamedTuple):
    """One quantity of a node: a literal (``step`` and ``side`` say where it is written) or a node.

    ``inverse`` marks a subtracted term or a divisor; ``node`` is the node it comes from, or -1.
    """

    inverse: bool
    step: int
    side: int
    node: int


@dataclass(frozen=True, slots=True)
class Node:
    """One flattened chain: its members, and which canonical steps combine which of them.

    ``merges`` lists the canonical steps of this node in story order as (step, left members, right
    members), sets of members written as bit masks.
    """

    product: bool
    members: tuple[Member, ...]
    merges: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """The nodes of a derivation in the order of their last canonical step; the last is the root.

    ``node_of`` gives for every canonical step the node whose chain it belongs to.
    """

    nodes: tuple[Node, ...]
    node_of: tuple[int, ...]


def structure_of(problem: Problem) -> Structure | None:
    """The problem's derivation, or ``None`` if its steps cannot be checked.

    They can if every step is a binary operation on integers with known ``uses``, has the result
    that it states, and is used later (except the last, which is the answer).
    """
    steps = problem.steps
    if not 0 < len(steps) <= MAX_STEPS or steps[-1].value != problem.answer:
        return None
    if not all(map(_sound, steps)):
        return None
    for i, step in enumerate(steps):
        for operand, use in zip(step.operands, step.uses, strict=True):
            if use is not None and not (0 <= use < i and steps[use].value == operand):
                return None
    return _structure(tuple(s.operator for s in steps), tuple(s.uses for s in steps))


def _sound(step: Step) -> bool:
    """Whether a step is one operation on non-negative integers with the result that it states."""
    if len(step.operands) != 2 or len(step.uses) != 2:
        return False
    left, right = step.operands
    if not (left.isdecimal() and right.isdecimal() and step.value.isdecimal()):
        return False
    if len(left) > 12 or len(right) > 12 or len(step.value) > 12:
        return False
    a, b, c = int(left), int(right), int(step.value)
    match step.operator:
        case "+":
            return a + b == c
        case "-":
            return a - b == c
        case "*":
            return a * b == c
        case "/":
            return b > 0 and b * c == a
    return False


@lru_cache(maxsize=4096)
def _structure(operators: tuple[str, ...], uses: Uses) -> Structure | None:
    """The structure of a pattern of operators and uses; ``None`` if a result is not used."""
    consumers: list[list[tuple[int, int]]] = [[] for _ in operators]
    for i, pair in enumerate(uses):
        for position, use in enumerate(pair):
            if use is not None:
                consumers[use].append((i, position))
    if not all(consumers[:-1]):
        return None
    # has_inverse[i]: the chain that ends in step i contains a subtracted term or a divisor.
    absorbed: list[bool] = [False] * len(operators)
    has_inverse: list[bool] = [operator in "-/" for operator in operators]
    for i, used_by in enumerate(consumers):
        if len(used_by) != 1:
            continue
        user, position = used_by[0]
        same_kind = SIGNS[operators[user]] == SIGNS[operators[i]]
        inverted = operators[user] in "-/" and position == 1
        if same_kind and not (inverted and has_inverse[i]):
            absorbed[i] = True
            has_inverse[user] = has_inverse[user] or has_inverse[i]
    roots = [i for i, inside in enumerate(absorbed) if not inside]
    node_index = {root: n for n, root in enumerate(roots)}
    node_of = [0] * len(operators)
    nodes: list[Node] = []
    for root in roots:
        members: list[Member] = []
        merges: list[tuple[int, int, int]] = []

        def gather(
            step: int,
            inverse: bool,
            members: list[Member] = members,
            merges: list[tuple[int, int, int]] = merges,
            root: int = root,
        ) -> int:
            masks = []
            for position, use in enumerate(uses[step]):
                flipped = inverse != (operators[step] in "-/" and position == 1)
                if use is not None and absorbed[use]:
                    masks.append(gather(use, flipped))
                else:
                    node = -1 if use is None else node_index[use]
                    masks.append(1 << len(members))
                    members.append(Member(flipped, step, position, node))
            merges.append((step, masks[0], masks[1]))
            node_of[step] = node_index[root]
            return masks[0] | masks[1]

        gather(root, False)
        nodes.append(Node(operators[root] in "*/", tuple(members), tuple(sorted(merges))))
    return Structure(tuple(nodes), tuple(node_of))
