"""The typed records that pass between folders: Problem → Trace → Verdict.

Every stage of the pipeline reads one of these and returns the next, so a reader who knows this file
can follow a question from the generator to the report. They are frozen: to change a field, a stage
makes a new record with ``dataclasses.replace``.

Everything that is written about one question is a *trace*: a forest of nodes, each a span of text
that continues its parent. One chain of thought is a path from a root to a leaf, a vote is a forest
of such paths, and a search is a tree that branches. A ``Completion`` is the view of one path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from glassmind.notebook import preformatted
from glassmind.quantity import quantity


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a worked solution, for example ``pencils: 3*12=36``.

    ``text`` is what a chain of thought shows. The other fields are set if the step is a single
    binary operation, which makes it checkable: ``operator`` is one of ``+ - * /``, ``operands`` are
    the two numbers as written, and ``value`` is the result in canonical form. For each operand,
    ``uses`` has the index (from 0) of the earlier step it came from, or ``None`` if it came from
    the question or general knowledge.
    """

    text: str
    operator: str = ""
    operands: tuple[str, ...] = ()
    value: str = ""
    uses: tuple[int | None, ...] = ()
    label: str = ""

    @property
    def checkable(self) -> bool:
        """Whether the step is one binary operation with a known result."""
        return bool(self.operator and len(self.operands) == 2 and self.value)


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its known answer and, where there is one, a worked solution.

    ``answer`` is the number in canonical form (``grade.numbers.canonical``); ``source`` names
    where it came from (``generated/buying``, ``gsm8k``, a file's name); ``split`` is the slice it
    belongs to; ``key`` identifies its abstract content (the same story with other names has the
    same key) and is used to keep training and test problems apart.
    """

    id: str
    question: str
    answer: str
    steps: tuple[Step, ...] = ()
    source: str = ""
    split: str = ""
    key: str = ""


Author = Literal["model", "tool", "forced"]
"""Who wrote a span: the model by sampling, a tool (the calculator), or a rule that forced the
tokens (the only continuation that a constraint allows, the end of a thinking budget)."""

NodeKind = Literal["step", "answer", "text"]
"""What a span is part of: a step of reasoning, the answer, or text that is neither."""

Finish = Literal["stop", "length", "cancelled"]
"""How a completion ended: by itself, at a limit on its length, or because it was cancelled."""

_SHOWN = 8  # chains of a trace when it is printed

OUTCOME, PROCESS = "outcome", "process"
"""The names under which a verifier's judgements are kept: of a whole chain, and of a step."""

REWARD = "reward"
"""The name under which a reward model's score of a whole chain is kept."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of something: tokens read, written and judged by a verifier, and wall-clock time.

    ``prompt_tokens`` counts a prompt once for all samples that share it. ``judged_tokens`` counts
    what a verifier read, prompts included. ``seconds`` are a share of the wall-clock time of the
    whole batch, in proportion to tokens; they differ from run to run and do not count when costs
    are compared.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    judged_tokens: int = 0
    seconds: float = field(default=0.0, compare=False)

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.judged_tokens + other.judged_tokens,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Node:
    """One span of a trace: what one author wrote in one piece.

    ``parent`` is the index in ``Trace.nodes`` of the node that this one continues, ``None`` if it
    follows the prompt. ``token_ids`` are the span's ids, special tokens included; they are empty if
    only text is known, as with a remote model. ``text`` is the part that a reader sees.

    ``logprobs`` holds the natural log of the probability of each token under the plain model
    (temperature 1, nothing filtered), ``sampled_logprobs`` under the distribution that the token
    was drawn from (temperature, top-k, top-p, min-p, constraint; 0 if it was forced). Either is
    empty if it is not known.

    ``closed`` says whether the span ends its step or answer; a step in which a tool wrote is
    several nodes, of which the last is closed. ``finish`` is set in a leaf if generation ended
    there, and ``None`` if a search gave the path up. ``answer`` is set in a leaf: the answer of the
    path that ends in it, ``None`` if it has none. ``scores`` maps the name of a judgement
    (``OUTCOME``, ``PROCESS``) to its value for the path up to and including this node. ``cost`` is
    the cost of this span alone.
    """

    parent: int | None
    kind: NodeKind
    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    sampled_logprobs: tuple[float, ...] = ()
    author: Author = "model"
    closed: bool = True
    finish: Finish | None = None
    answer: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    cost: Cost = Cost()


@dataclass(frozen=True)
class Trace:
    """Everything that was written about one question: a forest, parents before children.

    ``prompt_cost`` is spent once for all nodes: the model's reading of the question.
    """

    problem_id: str
    nodes: tuple[Node, ...] = ()
    prompt_cost: Cost = Cost()

    def __post_init__(self) -> None:
        for index, node in enumerate(self.nodes):
            if node.parent is not None and not 0 <= node.parent < index:
                raise ValueError(f"node {index} has parent {node.parent}, which is not before it")

    def __str__(self) -> str:
        chains = self.completions
        told = f"{quantity(len(chains), 'chain')}, {quantity(self.cost.completion_tokens, 'token')}"
        lines = [f"what was written about problem {self.problem_id or '(no id)'}: {told}"]
        for chain in chains[:_SHOWN]:
            lines += ["", *(f"  {line}" for line in str(chain).splitlines())]
        if len(chains) > _SHOWN:
            lines += ["", f"  and {len(chains) - _SHOWN} more"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    @cached_property
    def cost(self) -> Cost:
        """The cost of the whole trace."""
        return sum((node.cost for node in self.nodes), self.prompt_cost)

    @cached_property
    def leaves(self) -> tuple[int, ...]:
        """Indices of the nodes without children, in order."""
        inner = {node.parent for node in self.nodes}
        return tuple(index for index in range(len(self.nodes)) if index not in inner)

    @property
    def branches(self) -> bool:
        """Whether some node has more than one child; a forest of separate chains has none."""
        parents = [node.parent for node in self.nodes if node.parent is not None]
        return len(set(parents)) < len(parents)

    def path(self, index: int) -> tuple[int, ...]:
        """The indices from a root down to node ``index``."""
        found: list[int] = []
        at: int | None = index
        while at is not None:
            found.append(at)
            at = self.nodes[at].parent
        return tuple(reversed(found))

    @cached_property
    def completions(self) -> tuple[Completion, ...]:
        """Every path to a leaf, in the order of the leaves."""
        return tuple(
            Completion(self, self.path(leaf), sample) for sample, leaf in enumerate(self.leaves)
        )

    def with_scores(
        self, scores: Mapping[int, Mapping[str, float]], costs: Mapping[int, Cost]
    ) -> Trace:
        """The trace with a verifier's values and the cost of judging; keys are node indices."""
        nodes = list(self.nodes)
        for index in scores.keys() | costs.keys():
            node = nodes[index]
            nodes[index] = replace(
                node,
                scores={**node.scores, **scores.get(index, {})},
                cost=node.cost + costs.get(index, Cost()),
            )
        return replace(self, nodes=tuple(nodes))

    def first(self, samples: int) -> Trace:
        """The first ``samples`` completions and nothing else."""
        if samples >= len(self.leaves):
            return self
        kept = sorted({index for c in self.completions[:samples] for index in c.path})
        new = {old: index for index, old in enumerate(kept)}
        nodes = []
        for old in kept:
            parent = self.nodes[old].parent
            nodes.append(replace(self.nodes[old], parent=None if parent is None else new[parent]))
        return Trace(self.problem_id, tuple(nodes), self.prompt_cost)

    @staticmethod
    def of_chains(
        problem_id: str, chains: Iterable[Sequence[Node]], prompt_cost: Cost = Cost()
    ) -> Trace:
        """A trace of chains that share nothing but the prompt: a forest without branches.

        Each chain is linked from its first node to its last; the parents it came with are ignored.
        """
        nodes: list[Node] = []
        for chain in chains:
            for position, node in enumerate(chain):
                nodes.append(replace(node, parent=len(nodes) - 1 if position else None))
        return Trace(problem_id, tuple(nodes), prompt_cost)


@dataclass(frozen=True)
class Completion:
    """One path of a trace, read from the prompt to a leaf: a chain of thought and its answer.

    ``path`` are indices of ``trace.nodes``; ``sample`` is the number of the leaf.
    """

    trace: Trace = field(repr=False)
    path: tuple[int, ...]
    sample: int = 0

    def __str__(self) -> str:
        scores = self.step_scores
        lines = []
        for number, step in enumerate(self.steps):
            belief = f"   {scores[number]:.0%}" if number < len(scores) else ""
            lines.append(f"{number + 1}. {step}{belief}")
        belief = "" if self.score is None else f"   {self.score:.0%}"
        lines.append(f"answer {'(none)' if self.answer is None else self.answer}{belief}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the path."""
        return tuple(self.trace.nodes[index] for index in self.path)

    @property
    def problem_id(self) -> str:
        return self.trace.problem_id

    @cached_property
    def token_ids(self) -> tuple[int, ...]:
        """All ids, including the closing token if it was reached."""
        return tuple(token for node in self.nodes for token in node.token_ids)

    @cached_property
    def logprobs(self) -> tuple[float, ...]:
        """The plain model's log-probability of each token."""
        return tuple(value for node in self.nodes for value in node.logprobs)

    @cached_property
    def logprob(self) -> float:
        """Log-probability of the whole completion under the plain model (natural log)."""
        return sum(self.logprobs)

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """The texts of the closed steps. Of free text, each line that is not blank is a step."""
        found, text, free = [], "", ""
        for node in self.nodes:  # a step or line with a tool's text is several nodes
            if node.kind == "text":
                free += node.text
            elif node.kind == "step":
                text += node.text
                if node.closed:
                    found.append(text)
                    text = ""
        return (*found, *(line for line in free.splitlines() if line.strip()))

    @cached_property
    def step_ends(self) -> tuple[int, ...]:
        """The indices in ``trace.nodes`` of the nodes that close a step."""
        nodes = self.trace.nodes
        return tuple(i for i in self.path if nodes[i].kind == "step" and nodes[i].closed)

    @property
    def answer(self) -> str | None:
        """The answer as written; ``None`` if the path has none."""
        return self.nodes[-1].answer

    @property
    def finish(self) -> Finish:
        """How it ended; a path that stops in the middle was cut off."""
        return self.nodes[-1].finish or "length"

    @cached_property
    def step_scores(self) -> tuple[float, ...]:
        """The process judgement at the end of each closed step; empty without a verifier."""
        ends = (self.trace.nodes[index].scores for index in self.step_ends)
        return tuple(scores[PROCESS] for scores in ends if PROCESS in scores)

    @property
    def score(self) -> float | None:
        """The outcome judgement, in [0, 1]; ``None`` if no verifier has read it."""
        return self.nodes[-1].scores.get(OUTCOME)

    @cached_property
    def cost(self) -> Cost:
        """The cost of this path, including the prompt."""
        return sum((node.cost for node in self.nodes), self.trace.prompt_cost)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A method's answer to a problem, whether it was right, and its cost."""

    problem_id: str
    answer: str | None
    correct: bool
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class LogprobDifference:
    """The engine's log-probabilities of ``tokens`` sampled tokens against the trainer's, in nats.

    ``mean`` and ``max`` are of the absolute differences. The ratios are importance ratios: the
    trainer's probability over the engine's.
    """

    tokens: int
    mean: float
    max: float
    ratio_mean: float
    ratio_min: float
    ratio_max: float
