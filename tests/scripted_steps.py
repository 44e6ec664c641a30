"""A model that writes the steps of a script, and a verifier that believes what it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from glassmind.generate import SamplingParams
from glassmind.llm.model import OpenPath
from glassmind.model import TokenScorer
from glassmind.reason.session import Keep, Session, not_kept
from glassmind.records import OUTCOME, PROCESS, Cost, Node, Problem, Trace
from glassmind.runs.recipe import SamplingConfig
from glassmind.tokenize import (
    CharTokenizer,
    Style,
    Tokenizer,
    chain_nodes,
    encode_completion,
    encode_prompt,
    parse_completion,
)
from glassmind.tokenize.special import STEP

Path = tuple[str, ...]
"""The steps of a chain, and behind them, as ``= 42``, its answer."""


@dataclass
class ScriptedSteps:
    """``script`` maps the steps so far to what is written next, one after the other and for each
    problem anew: ``= 42`` is an answer, and anything else a step. ``beliefs`` are a verifier's, 0.5
    unless given.

    ``written`` counts the tokens, ``asked`` how often each path was continued, ``continued`` the
    calls, ``read`` the nodes that were judged.
    """

    script: Mapping[Path, Sequence[str]]
    beliefs: Mapping[Path, float] = field(default_factory=dict)
    continues_steps: bool = True
    style: Style = "chain"
    name: str = "scripted"
    tokenizer: Tokenizer = field(default_factory=CharTokenizer)
    default_sampling: SamplingConfig = field(default_factory=SamplingConfig)
    written: int = 0
    continued: int = 0
    read: list[Path] = field(default_factory=list)
    asked: Counter[Path] = field(default_factory=Counter)
    _turns: Counter[tuple[str, Path]] = field(default_factory=Counter)

    @property
    def scorer(self) -> TokenScorer | None:
        return cast(TokenScorer, object())  # ``verify_nodes`` below never looks at it

    def prompt_tokens(self, question: str) -> int:
        return len(encode_prompt(self.tokenizer, question, "chain"))

    def sample(
        self,
        problems: Sequence[Problem],
        params: SamplingParams,
        style: Style,
        progress: Callable[[int, int], None] | None = None,
        *,
        first: int = 0,
    ) -> list[Trace]:
        starts = [OpenPath(problem, (), 0, params.samples) for problem in problems]
        chains = self.continue_paths(starts, params, to_end=True)
        return [
            Trace.of_chains(p.id, found, Cost(prompt_tokens=self.prompt_tokens(p.question)))
            for p, found in zip(problems, chains, strict=True)
        ]

    def continue_paths(
        self, paths: Sequence[OpenPath], params: SamplingParams, *, to_end: bool = False
    ) -> list[list[list[Node]]]:
        self.continued += 1
        return [[self._one(path, params, to_end) for _ in range(path.samples)] for path in paths]

    def _one(self, path: OpenPath, params: SamplingParams, to_end: bool) -> list[Node]:
        room = params.max_new_tokens - len(path.token_ids)
        room = room if path.room is None else min(room, path.room)
        ids, steps = [], parse_completion(self.tokenizer, path.token_ids, "chain").steps
        while True:
            turn = self._turns[path.problem.id, steps]
            told = self.script[steps][turn % len(self.script[steps])]
            self._turns[path.problem.id, steps] += 1
            self.asked[steps] += 1
            if told.startswith("= "):
                ids += encode_completion(self.tokenizer, [], told[2:], "chain")
                break
            ids += [*self.tokenizer.encode(told), self.tokenizer.special[STEP]]
            steps = (*steps, told)
            if not to_end:
                break
        fits = len(ids) <= room
        nodes = chain_nodes(
            self.tokenizer, ids[: max(0, room)], "chain", finish="stop" if fits else "length",
            logprobs=(-1.0,) * max(0, min(room, len(ids))),
        )  # fmt: skip
        self.written += min(len(ids), max(0, room))
        if fits and nodes[-1].kind == "step":
            nodes[-1] = replace(nodes[-1], finish=None)
        return nodes

    def verify_nodes(
        self,
        scorer: TokenScorer,
        tokenizer: Tokenizer,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        wanted: Sequence[Sequence[int]],
    ) -> list[Trace]:
        """Reading a node costs one judged token."""
        judged = []
        for trace, nodes in zip(traces, wanted, strict=True):
            scores = {}
            for node in nodes:
                path = said(trace, node)
                self.read.append(path)
                ends = trace.nodes[node].finish == "stop"
                scores[node] = {OUTCOME if ends else PROCESS: self.beliefs.get(path, 0.5)}
            judged.append(trace.with_scores(scores, {n: Cost(judged_tokens=1) for n in nodes}))
        return judged

    def verify(
        self,
        scorer: TokenScorer,
        tokenizer: Tokenizer,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Trace]:
        """Scores of whole chains."""
        return self.verify_nodes(scorer, tokenizer, problems, traces, [t.leaves for t in traces])

    def session(self, keep: Keep | None = None, *, samples: int = 1, room: int = 200) -> Session:
        """A session with this model alone."""
        params = SamplingParams(max_new_tokens=room)
        return Session(
            [self],
            replace(params, temperature=0.0),
            replace(params, samples=samples),
            answers=False,
            keep=keep or not_kept,
            verify=self.verify,
            verify_nodes=self.verify_nodes,
        )


def said(trace: Trace, node: int) -> Path:
    """The path to a node, as the keys of ``beliefs`` have it."""
    path = [trace.nodes[index] for index in trace.path(node)]
    return tuple(f"= {n.answer}" if n.kind == "answer" else n.text for n in path)
