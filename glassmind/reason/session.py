"""What methods share while they answer the same problems: the model's chains, sampled once.

Methods that only choose among chains must choose among the *same* chains, or differences between
them may be due to chance. They ask a session for chains, which the model writes when they are first
asked for. A method that searches asks the session for the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Protocol

from glassmind.generate import SamplingParams, derive_seed
from glassmind.llm.model import Model, PromptedModel, StepModel
from glassmind.progress import Progress, Silent, watched
from glassmind.reason.budget_forcing import thinking_marks
from glassmind.reason.needs import Need
from glassmind.reason.reordering import shuffled
from glassmind.reason.verify import Verify, verify_function
from glassmind.reason.verify_tree import VerifyNodes, verify_nodes_function
from glassmind.records import Problem, Trace
from glassmind.tokenize import Style


class Make(Protocol):
    """Makes the traces of ``problems[start:stop]``, by default all; the parts of a list have the
    same traces as the whole list, but for rounding in the model."""

    def __call__(self, start: int = 0, stop: int | None = None) -> list[Trace]: ...


class Keep(Protocol):
    """Storage for traces that outlives the session, such as a run's folder."""

    def __call__(
        self, name: str, problems: Sequence[Problem], style: Style, make: Make
    ) -> list[Trace]:
        """The traces stored under ``name`` for ``problems``, or else those of ``make``."""
        ...


def not_kept(name: str, problems: Sequence[Problem], style: Style, make: Make) -> list[Trace]:
    """A ``Keep`` that stores nothing."""
    return make()


class Session:
    """Models with the chains that they wrote so far.

    For each style, the first of ``models`` that has it is used. ``greedy`` and ``sampled`` are the
    sampling parameters; ``sampled.samples`` chains are sampled as soon as one is needed, so that
    all methods use the same ones. ``answers`` says whether the problems have reference answers.
    ``label`` is a prefix for progress messages, ``keep`` stores traces, ``verify`` scores chains
    and ``verify_nodes`` single nodes. ``reinforced`` is the model for chains after it has also
    learned from reward, if there is one.
    """

    def __init__(
        self,
        models: Sequence[Model],
        greedy: SamplingParams,
        sampled: SamplingParams,
        *,
        answers: bool = True,
        keep: Keep = not_kept,
        verify: Verify | None = None,
        verify_nodes: VerifyNodes | None = None,
        progress: Progress | None = None,
        label: str = "",
        reinforced: Model | None = None,
    ) -> None:
        self._variants: dict[str, Session] = {}
        self._reinforced = reinforced
        self._models = {model.style: model for model in reversed(models)}
        self._params = {"greedy": greedy, "samples": sampled}
        self._answers, self._verify, self._verify_nodes = answers, verify, verify_nodes
        self._keep, self._progress, self._label = keep, progress or Silent(), label
        self._drawn: dict[tuple[str, Style, tuple[Problem, ...]], list[Trace]] = {}
        self._parts: dict[tuple[str, Style, tuple[Problem, ...], int], list[Trace]] = {}
        self._searched: dict[tuple[str, tuple[Problem, ...]], list[Trace]] = {}

    @property
    def has(self) -> frozenset[Need]:
        """The needs of methods that this session meets."""
        found: set[Need] = {*self._models}
        if any(model.scorer is not None for model in self._models.values()):
            found.add("verifier")
        chain = self._models.get("chain")
        if isinstance(chain, StepModel) and chain.continues_steps:
            found.add("steps")
        if isinstance(chain, PromptedModel) and chain.follows_instructions:
            found.add("instructions")
        if self._reinforced is not None:
            found.add("reinforced")
        if self._answers:
            found.add("answers")
        tokenizer = self._models["chain"].tokenizer if "chain" in self._models else None
        if tokenizer is not None:
            found.add("tokens")
        if self.sampled.calculator_use != "off":
            found.add("calculator")
        if thinking_marks(tokenizer) is not None:
            found.add("thinking")
        return frozenset(found)

    @property
    def sampled(self) -> SamplingParams:
        """How chains are sampled."""
        return self._params["samples"]

    @property
    def plain(self) -> SamplingParams:
        """How the greedy chain is sampled."""
        return self._params["greedy"]

    def model(self, style: Style) -> Model:
        """The model for this style."""
        if style not in self._models:
            raise ValueError(f"this session has no model for {style} answers")
        return self._models[style]

    def step_model(self) -> StepModel:
        """The model for chains, which can continue them after any step."""
        model = self.model("chain")
        if not isinstance(model, StepModel) or not model.continues_steps:
            raise ValueError(f"{model.name} cannot continue a chain after a step")
        return model

    def variant(self, label: str, **changes: Any) -> Session:
        """The same models with other sampling parameters, such as ``calculator="equations"``.

        Its chains are drawn once and kept as well, with ``label`` before their names.
        """
        return self._beside(label, list(self._models.values()), changes)

    def reinforced(self) -> Session:
        """The same for the model that has also learned from reward."""
        if self._reinforced is None:
            raise ValueError("this session has no model that has learned from reward")
        return self._beside("reinforced", [self._reinforced], {})

    def _beside(self, label: str, models: Sequence[Model], changes: dict[str, Any]) -> Session:
        """Another session for the same problems, with ``label`` before the names of its traces."""
        if label not in self._variants:
            params = {what: replace(one, **changes) for what, one in self._params.items()}
            keep = self._keep

            def keep_as(
                name: str, problems: Sequence[Problem], style: Style, make: Make
            ) -> list[Trace]:
                return keep(f"{label}-{name}", problems, style, make)

            self._variants[label] = Session(
                models,
                params["greedy"],
                params["samples"],
                answers=self._answers,
                keep=keep_as,
                verify=self._verify,
                verify_nodes=self._verify_nodes,
                progress=self._progress,
                label=f"{self._label}{label}-",
            )
        return self._variants[label]

    def shuffled(self, seed: int) -> Session:
        """The same models and the chains drawn so far, in another order (``reordering``)."""
        other = copy(self)
        other._parts = {}
        other._variants = {label: one.shuffled(seed) for label, one in self._variants.items()}
        other._drawn = {key: shuffled(traces, seed) for key, traces in self._drawn.items()}
        other._searched = {
            key: traces if any(trace.branches for trace in traces) else shuffled(traces, seed)
            for key, traces in self._searched.items()
        }
        return other

    def round(self, problems: Sequence[Problem], n: int, number: int) -> list[Trace]:
        """``n`` more chains per problem, from the random numbers of round ``number``.

        For methods that draw as many as they turn out to need. The chains are shared with nobody.
        """
        seed = derive_seed(self.sampled.seed, number) if number else self.sampled.seed
        params = replace(self.sampled, samples=n, seed=seed)
        return self.model("chain").sample(problems, params, "chain")

    def greedy(self, problems: Sequence[Problem], style: Style = "chain") -> list[Trace]:
        """One greedy chain per problem."""
        return self._traces("greedy", problems, style, 1)

    def samples(self, problems: Sequence[Problem], n: int, style: Style = "chain") -> list[Trace]:
        """``n`` sampled chains per problem; for a smaller ``n``, the first of the same chains."""
        return self._traces("samples", problems, style, n)

    def judged(self, problems: Sequence[Problem], n: int, style: Style = "chain") -> list[Trace]:
        """The same chains with the verifier's scores; their cost includes the scoring."""
        return self._traces("judged", problems, style, n)

    def searched(self, name: str, problems: Sequence[Problem], make: Make) -> list[Trace]:
        """What a search wrote: ``make``'s traces, made once and stored like the sampled chains.

        ``name`` says which search it was and how much it was allowed to spend.
        """
        key = (name, tuple(problems))

        def watched_make(start: int = 0, stop: int | None = None) -> list[Trace]:
            stage, total = f"searching {self._label}{name}", len(problems[start:stop])
            with watched(self._progress, stage, total, "problems") as watch:
                traces = make(start, stop)
                watch(total, total)
                return traces

        if key not in self._searched:
            kept = self._keep(f"chain-searched-{name}", problems, "chain", watched_make)
            self._searched[key] = kept
        return self._searched[key]

    def judge_nodes(
        self,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        wanted: Sequence[Sequence[int]],
    ) -> list[Trace]:
        """The traces with the verifier's judgement of the ``wanted`` nodes of each."""
        model = self.model("chain")
        if model.scorer is None or model.tokenizer is None:
            raise ValueError(f"{model.name} has no verifier")
        verify = self._verify_nodes or verify_nodes_function(model)
        return verify(model.scorer, model.tokenizer, problems, traces, wanted)

    def judged_traces(
        self,
        problems: Sequence[Problem],
        traces: Sequence[Trace],
        progress: Callable[[int, int], None] | None = None,
        style: Style = "chain",
    ) -> list[Trace]:
        """Traces that a method composed, with the verifier's scores of their chains."""
        model = self.model(style)
        if model.scorer is None or model.tokenizer is None:
            raise ValueError(f"{model.name} has no verifier")
        verify = self._verify or verify_function(model)
        return verify(model.scorer, model.tokenizer, problems, traces, progress=progress)

    def _traces(self, what: str, problems: Sequence[Problem], style: Style, n: int) -> list[Trace]:
        key = (what, style, tuple(problems))
        drawn = self._drawn.get(key)
        if drawn is None or any(len(trace.leaves) < n for trace in drawn):
            drawn = self._drawn[key] = self._draw(what, problems, style, n)
            self._parts = {part: found for part, found in self._parts.items() if part[:3] != key}
        part = (*key, n)
        if part not in self._parts:
            self._parts[part] = [trace.first(n) for trace in drawn]
        return self._parts[part]

    def _draw(self, what: str, problems: Sequence[Problem], style: Style, n: int) -> list[Trace]:
        if what == "greedy":
            return self._sample(f"{style}-greedy", problems, self._params["greedy"], style)
        params = self.sampled
        params = replace(params, samples=max(n, params.samples))
        if what == "samples":
            name = f"{style}-samples-{params.samples}"
            return self._sample(name, problems, params, style)
        return self._judge(f"{style}-judged-{params.samples}", problems, params.samples, style)

    def _sample(
        self, name: str, problems: Sequence[Problem], params: SamplingParams, style: Style
    ) -> list[Trace]:
        def make(start: int = 0, stop: int | None = None) -> list[Trace]:
            part, total = problems[start:stop], len(problems) * params.samples
            before = start * params.samples
            with watched(self._progress, f"sampling {self._label}{name}", total, "chains") as watch:
                return self.model(style).sample(
                    part, params, style, lambda done, _: watch(before + done, total), first=start
                )

        return self._keep(name, problems, style, make)

    def _judge(self, name: str, problems: Sequence[Problem], n: int, style: Style) -> list[Trace]:
        if self.model(style).scorer is None:
            raise ValueError(f"{self.model(style).name} has no verifier")

        def make(start: int = 0, stop: int | None = None) -> list[Trace]:
            traces = self.samples(problems, n, style)[start:stop]
            stage = f"verifying {self._label}{name}"
            with watched(self._progress, stage, len(traces), "problems") as watch:
                return self.judged_traces(problems[start:stop], traces, watch, style)

        return self._keep(name, problems, style, make)
