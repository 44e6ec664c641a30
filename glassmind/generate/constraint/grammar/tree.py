"""What a language is made of: literal bytes, characters, sequence, alternatives, repetition.

Every node can lay itself into a network between two states. What repeats is laid as often as it
may occur, since a finite machine can only count by being somewhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from glassmind.generate.constraint.grammar.character_sets import Paths, Ranges, utf8_paths
from glassmind.generate.constraint.grammar.network import Network


class Node(Protocol):
    """A language."""

    def lay(self, net: Network, start: int, end: int) -> None:
        """Ways from ``start`` to ``end`` for exactly the strings of the language.

        Nothing is added that leads into ``start`` or out of ``end``, so nodes may share both.
        """
        ...


@dataclass(frozen=True)
class Literal:
    """One string."""

    data: bytes

    def lay(self, net: Network, start: int, end: int) -> None:
        """One state a byte."""
        for byte in self.data:
            after = net.state()
            net.edge(start, 1 << byte, after)
            start = after
        net.skip(start, end)


@dataclass(frozen=True)
class Characters:
    """One character of a set, in UTF-8."""

    ranges: Ranges

    def lay(self, net: Network, start: int, end: int) -> None:
        """Spellings that end alike share their states."""
        lay_paths(net, utf8_paths(self.ranges), start, end)


def lay_paths(net: Network, paths: Paths, start: int, end: int) -> None:
    """Ways from ``start`` to ``end`` for the spellings of characters."""
    shared: dict[Paths, int] = {}
    todo = [(start, paths)]
    for state, ways in todo:  # grows while it is read
        for byte_set, rest in ways:
            if rest is None:
                net.edge(state, byte_set, end)
                continue
            if rest not in shared:
                shared[rest] = net.state()
                todo.append((shared[rest], rest))
            net.edge(state, byte_set, shared[rest])


@dataclass(frozen=True)
class Sequence:
    """One after the other; without parts, the empty string."""

    parts: tuple[Node, ...]

    def lay(self, net: Network, start: int, end: int) -> None:
        """A state between each two."""
        for part in self.parts:
            after = net.state()
            part.lay(net, start, after)
            start = after
        net.skip(start, end)


@dataclass(frozen=True)
class Either:
    """One of several."""

    parts: tuple[Node, ...]

    def lay(self, net: Network, start: int, end: int) -> None:
        """Side by side."""
        for part in self.parts:
            net.spend()
            part.lay(net, start, end)


@dataclass(frozen=True)
class Repeat:
    """At least ``least`` and at most ``most`` times; ``None``: as often as one likes."""

    part: Node
    least: int
    most: int | None

    def lay(self, net: Network, start: int, end: int) -> None:
        """A copy for each time, and a loop where there is no limit."""
        for count in range(self.least if self.most is None else self.most):
            if count >= self.least:
                net.skip(start, end)
            after = net.state()
            self.part.lay(net, start, after)
            start = after
        if self.most is None:
            loop, after = net.state(), net.state()
            net.skip(start, loop)
            self.part.lay(net, loop, after)
            net.skip(after, loop)
            net.skip(loop, end)
        else:
            net.skip(start, end)


NOTHING = Either(())  # the language without a single string
EMPTY = Sequence(())
