"""The problems that a report shows in full: ``examples.json``.

An example keeps the whole trace of one method, so that the report can draw it, and what the other
methods answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from glassmind.errors import UserError
from glassmind.evaluate.schema_1 import examples_of_schema_1
from glassmind.records import OUTCOME, PROCESS, Author, Node, NodeKind, Trace
from glassmind.serialization import MOST_RESULT, decode, read_json

MAX_NODES = 200_000
"""The limit for all examples of a file together; a run keeps a few, of some hundred nodes each."""

MAX_PATH_NODES = 1_000_000
"""The limit for all their paths together; a shared node counts once for each path through it."""


@dataclass(frozen=True, slots=True)
class ExampleNode:
    """A node of a trace, as far as a report shows it (``records.Node`` explains the fields).

    ``logprob`` is that of the whole span. ``score`` is the verifier's for the path that ends here,
    ``step_score`` for the path up to here; ``correct`` says whether the path's answer is right, and
    ``valid`` whether the step that ends here is.
    """

    parent: int | None
    kind: NodeKind
    text: str
    author: Author = "model"
    closed: bool = True
    answer: str | None = None
    correct: bool = False
    logprob: float = 0.0
    score: float | None = None
    step_score: float | None = None
    valid: bool | None = None


@dataclass(frozen=True, slots=True)
class SingleChain:
    """The output of a method that writes one chain; ``valid`` says of each step whether it is
    right, and is empty in a file of an earlier version."""

    method: str
    steps: tuple[str, ...]
    answer: str | None = None
    valid: tuple[bool | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A problem with the trace of ``method``, which may or may not have solved it.

    ``answers`` are those of the methods, by name; ``vote`` counts the answers of the trace's paths.
    """

    question: str
    answer: str
    gold_steps: tuple[str, ...]
    method: str
    solved: bool
    nodes: tuple[ExampleNode, ...]
    vote: dict[str, int]
    answers: dict[str, str | None] = field(default_factory=dict)
    single_chains: tuple[SingleChain, ...] = ()


def trace_of(example: Example) -> Trace:
    """The example's nodes as a trace, whose completions have steps, scores and answers."""
    nodes = []
    for node in example.nodes:
        scores = {OUTCOME: node.score, PROCESS: node.step_score}
        known = {name: value for name, value in scores.items() if value is not None}
        nodes.append(
            Node(
                parent=node.parent,
                kind=node.kind,
                text=node.text,
                logprobs=(node.logprob,),
                author=node.author,
                closed=node.closed,
                answer=node.answer,
                scores=known,
            )
        )
    return Trace("", tuple(nodes))


def read_examples(path: Path) -> tuple[Example, ...]:
    """Read ``examples.json``, of schema 1 too.

    Raises:
        UserError: the file is damaged, or its traces are not forests or too large to draw.
    """
    found = examples_of_schema_1(read_json(path, most=MOST_RESULT), str(path))
    examples = decode(tuple[Example, ...], found, str(path), unknown_keys="ignore")
    if sum(len(example.nodes) for example in examples) > MAX_NODES:
        raise UserError(f"{path} has more than {MAX_NODES} nodes")
    work = 0
    for number, example in enumerate(examples):
        depths: list[int] = []
        for index, node in enumerate(example.nodes):
            if node.parent is not None and not 0 <= node.parent < index:
                raise UserError(
                    f"{path}: {number}.nodes.{index}.parent must be the number of an earlier node, "
                    f"not {node.parent}"
                )
            depths.append(1 if node.parent is None else depths[node.parent] + 1)
        work += sum(depths[leaf] for leaf in trace_of(example).leaves)
    if work > MAX_PATH_NODES:
        raise UserError(f"{path} has paths of more than {MAX_PATH_NODES} nodes together")
    return examples
