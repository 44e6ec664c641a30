"""A branching trace, such as that of a search, as nested HTML lists.

Nodes that continue each other are below each other; if a node has several continuations, each is an
indented list of its own. HTML lists need no script, and screen readers read them in order.
"""

from __future__ import annotations

from html import escape

from glassmind.evaluate.examples import Example, ExampleNode
from glassmind.evaluate.step_marks import Mark, step_mark
from glassmind.quantity import quantity
from glassmind.records import Trace

MAX_DRAWN = 600
"""Nodes drawn of one trace; the rest is counted."""

MAX_DEPTH = 24
"""The depth of nested branches that is drawn: more would leave no room for words on a phone."""

CHIP = "verifier: probability that the solution is right up to here"


def branches(trace: Trace) -> bool:
    """Whether some node has several continuations. Several roots are not a branch."""
    parents = [node.parent for node in trace.nodes if node.parent is not None]
    return len(set(parents)) < len(parents)


def trace_tree(example: Example) -> str:
    """The example's nodes as HTML; every text in it is escaped."""
    children: dict[int | None, list[int]] = {}
    for index, node in enumerate(example.nodes):
        children.setdefault(node.parent, []).append(index)
    drawing = _Drawing(example.nodes, children)
    html = "".join(drawing.branch(root, 0) for root in children.get(None, []))
    note = ""
    if drawing.left < 0 or drawing.cut:
        hidden = len(example.nodes) - drawing.drawn
        left_out = quantity(hidden, "node")
        note = f'<p class="absent">Left out here: {left_out}; examples.json has them.</p>'
    return f'<ul class="tree">{html}</ul>{note}'


class _Drawing:
    """Draws branches until ``left`` nodes are used up."""

    def __init__(
        self, nodes: tuple[ExampleNode, ...], children: dict[int | None, list[int]]
    ) -> None:
        self._nodes, self._children = nodes, children
        self._marks: list[Mark] = []
        wrong: list[bool] = []  # whether the path to a node, itself included, has a mark
        for node in nodes:  # parents come first
            before = node.parent is not None and wrong[node.parent]
            step = node.kind == "step" and node.closed
            self._marks.append(step_mark(node.text, node.valid, before) if step else "")
            wrong.append(before or bool(self._marks[-1]))
        self.left, self.drawn, self.cut = MAX_DRAWN, 0, False

    def branch(self, index: int, depth: int) -> str:
        """The chain that begins at a node, with the branches at its end; a list item."""
        spans: list[str] = []
        below = [index]
        while len(below) == 1:
            self.left -= 1
            if self.left < 0:
                return _item(spans, "") if spans else ""
            self.drawn += 1
            spans.append(_span(self._nodes[below[0]], self._marks[below[0]]))
            below = self._children.get(below[0], [])
        if below and depth >= MAX_DEPTH:
            self.cut = True
            below = []
        inner = "".join(self.branch(child, depth + 1) for child in below)
        return _item(spans, f'<ul class="tree">{inner}</ul>' if inner else "")


def _item(spans: list[str], inner: str) -> str:
    return f"<li>{''.join(spans)}{inner}</li>"


def _span(node: ExampleNode, mark: Mark) -> str:
    """One node: its text, who wrote it unless the model did, its marks, and the answer."""
    kind = f"node {node.kind}" + ("" if node.author == "model" else f" {node.author}")
    if mark:
        kind += " follows" if mark == "follows from an error" else " invalid"
    # The text of an answer node is not repeated: the answer itself follows at the end.
    shown = node.text and node.text != node.answer
    parts = [f"<code>{escape(node.text)}</code>"] if shown else []
    if node.author != "model":
        parts.append(f'<span class="minor">{node.author}</span>')
    score = node.step_score if node.score is None else node.score
    if score is not None:
        shade = max(0, min(4, int(score * 5)))
        parts.append(f'<span class="chip s{shade}" title="{CHIP}">{score:.2f}</span>')
    if mark:
        sign = "" if mark == "follows from an error" else "✗ "
        parts.append(f'<span class="flag">{sign}{mark}</span>')
    if node.answer is not None:
        verdict = "right" if node.correct else "wrong"
        sign = "✓" if node.correct else "✗"
        parts.append(f'<b class="answer {verdict}">→ {escape(node.answer)} {sign}</b>')
    return f'<span class="{kind}">{" ".join(parts)}</span>'
