"""A model in this process: how it is asked (``local_prompts``), and one engine that is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from glassmind.errors import UserError
from glassmind.generate import (
    Engine,
    Generation,
    PackedModel,
    Request,
    SamplingParams,
    WeightKind,
    derive_seed,
    pack_model,
)
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.model_runner import LanguageModel, block_bytes
from glassmind.interop.pretrained import Pretrained
from glassmind.llm.continuing import NO_ROOM, continuation_nodes, path_request, with_seconds
from glassmind.llm.costs import timed
from glassmind.llm.familiarity import load_familiarity
from glassmind.llm.llm import FREE_TEXT_SAMPLING, Continuation, Format
from glassmind.llm.local_prompts import LocalPrompts
from glassmind.llm.model import OpenPath
from glassmind.llm.prompts import ASKED, PromptFormat
from glassmind.llm.replies import NodeReader
from glassmind.model import TokenScorer
from glassmind.model.facts import model_facts
from glassmind.notebook import facts_text, table
from glassmind.records import Cost, Node, Problem, Trace
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import Loaded
from glassmind.runs.recipe import Recipe, SamplingConfig
from glassmind.tokenize import Style, chain_nodes
from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.special import END

_ASKED_BY: Mapping[Format, str] = {
    "question": "one question",
    "chat": "a conversation, through its chat template",
    "text": "a text to continue",
}

CHUNK_TOKENS = 512  # most prompt tokens in one pass of a server, while which other replies wait


@dataclass(frozen=True, eq=False, repr=False)
class LocalLLM(LocalPrompts):
    """A model with everything that is needed to ask it.

    ``lines_are_steps`` is true for a model from elsewhere that was trained to write one step per
    line and the answer in the last line. A run's model has ``recipe`` and ``run``; ``scorer`` is
    its verifier.
    """

    scorer: TokenScorer | None = None
    recipe: Recipe | None = None
    run: RunFolder | None = None
    default_sampling: SamplingConfig = FREE_TEXT_SAMPLING
    lines_are_steps: bool = False

    def _facts(self) -> list[tuple[str, str]]:
        return [
            *model_facts(self.model.config, self.model),
            ("asked by", _ASKED_BY[self.format]),
            ("verifier", "none" if self.scorer is None else "scores every step"),
            *([] if self.run is None else [("run", str(self.run.path))]),
        ]

    def __str__(self) -> str:
        return facts_text(self.name, self._facts())

    __repr__ = __str__  # the default would print every layer

    def _repr_html_(self) -> str:
        return table((), [("name", self.name), *self._facts()])

    @classmethod
    def of_run(cls, loaded: Loaded, name: str, prompts: PromptFormat | None = None) -> LocalLLM:
        """A run's model. A model that was only pretrained continues text."""
        continues = loaded.stage == "pretrain"
        usual = loaded.recipe.sampling
        return cls(
            name=name,
            model=loaded.model,
            tokenizer=loaded.tokenizer,
            format="text" if continues else "question",
            stop_ids=frozenset({loaded.tokenizer.special[END]}),
            style=loaded.style,
            scorer=None if continues else loaded.verifier,
            recipe=loaded.recipe,
            run=loaded.run,
            familiarity=None
            if continues
            else load_familiarity(loaded.run.path / "familiarity.json"),
            default_sampling=FREE_TEXT_SAMPLING if continues else usual,
            prompts=prompts or PromptFormat(),
        )

    @classmethod
    def of_pretrained(
        cls, pretrained: Pretrained, name: str, prompts: PromptFormat | None = None
    ) -> LocalLLM:
        """A model from elsewhere.

        Raises:
            UserError: it has no tokenizer.
        """
        tokenizer = pretrained.tokenizer
        if tokenizer is None:
            raise UserError(
                f"{pretrained.source} holds no tokenizer, which is needed to ask it a question"
            )
        template = None
        if pretrained.chat_template is not None:
            facts = replace(tokenizer.facts, chat_template=pretrained.chat_template)
            template = ChatTemplate.of(facts)
        return cls(
            name=name,
            model=pretrained.model.eval(),
            tokenizer=tokenizer,
            format="text" if template is None else "chat",
            stop_ids=pretrained.stop_ids,
            bos_id=pretrained.bos_id,
            template=template,
            prompts=prompts or PromptFormat(),
        )

    @classmethod
    def of_tuned(
        cls,
        pretrained: Pretrained,
        name: str,
        run: RunFolder,
        recipe: Recipe,
        prompts: PromptFormat | None = None,
    ) -> LocalLLM:
        """A model from elsewhere that a run has trained to reason in steps, one per line."""
        if pretrained.chat_template is None:
            prompts = prompts or PromptFormat(ASKED)
        llm = cls.of_pretrained(pretrained, name, prompts)
        return replace(
            llm,
            recipe=recipe,
            run=run,
            familiarity=load_familiarity(run.path / "familiarity.json"),
            default_sampling=recipe.sampling,
            lines_are_steps=True,
        )

    # ------------------------------------------------------------------ variants

    def with_scorer(self, scorer: TokenScorer) -> LocalLLM:
        """The same model with its verifier. The packed weights are shared."""
        judged = replace(self, scorer=scorer)
        if "packed" in self.__dict__:
            judged.__dict__["packed"] = self.packed
        return judged

    def with_prompts(self, prompts: PromptFormat) -> LocalLLM:
        """See ``LLM.with_prompts``."""
        return replace(self, prompts=prompts)

    # ------------------------------------------------------------------ sampling

    @cached_property
    def packed(self) -> LanguageModel:
        """The model with its weights packed for the engine; packed once."""
        return pack_model(self.model)

    @cached_property
    def _sampler(self) -> Engine:
        return Engine(
            self.packed,
            vocabulary=self.vocabulary,
            encode=self.tokenizer.encode,
            max_rows=self.default_sampling.max_rows,
        )

    @property
    def engine_seconds(self) -> float:
        """How long the engine that ``sample`` uses has been working since it was made."""
        made = self.__dict__.get("_sampler")  # not made here: that packs the weights
        return made.step_seconds if isinstance(made, Engine) else 0.0

    def refresh(self) -> None:
        """Use the current weights of ``model``, after it was trained further."""
        packed = isinstance(self.packed, PackedModel)
        self._sampler.refresh(self.model if packed else None)

    def sample(
        self,
        problems: Sequence[Problem],
        params: SamplingParams,
        style: Style,
        progress: Callable[[int, int], None] | None = None,
        *,
        first: int = 0,
    ) -> list[Trace]:
        """See ``LLM.sample``."""
        requests: dict[int, Request] = {}
        for number, problem in enumerate(problems):
            if len(problem.question) > self.longest_text:
                continue
            prompt = self.prompt(problem.question, style)
            if len(prompt) < self.context:
                own = replace(
                    params,
                    seed=derive_seed(params.seed, first + number),
                    stop=self.stop_ids,
                    stop_texts=self.prompts.stop_texts(style) if self.format == "text" else (),
                )
                requests[number] = Request(tuple(prompt), own)
        started = time.perf_counter()
        sampled = self._sampler.generate(list(requests.values()), progress)
        seconds = time.perf_counter() - started
        generated = dict(zip(requests, sampled, strict=True))
        nothing = [Generation((), (), "length")] * params.samples
        traces = []
        for number, problem in enumerate(problems):
            prompt_ids = requests[number].prompt_ids if number in requests else ()
            chains = [
                self.nodes(prompt_ids, generation, style)
                for generation in generated.get(number, nothing)
            ]
            cost = Cost(prompt_tokens=len(prompt_ids))
            traces.append(Trace.of_chains(problem.id, chains, cost))
        return timed(traces, seconds)

    @property
    def follows_instructions(self) -> bool:
        """See ``PromptedModel``; one that was trained to write steps writes nothing else."""
        return self.format != "question" and not self.lines_are_steps

    @property
    def continues_steps(self) -> bool:
        """See ``StepModel``: only our own format closes a step with a token."""
        return self.format == "question" and self.style == "chain"

    def prompt_tokens(self, question: str) -> int:
        """See ``StepModel``; 0 if the question cannot fit."""
        return len(self.prompt(question, "chain")) if len(question) <= self.longest_text else 0

    def continue_paths(
        self, paths: Sequence[OpenPath], params: SamplingParams, *, to_end: bool = False
    ) -> list[list[list[Node]]]:
        """See ``StepModel``."""
        asked = [path_request(self, path, params, to_end=to_end) for path in paths]
        started = time.perf_counter()
        replies = iter(self._sampler.generate([one for one in asked if one is not None]))
        seconds = time.perf_counter() - started
        continued = [
            [NO_ROOM] * path.samples if request is None else next(replies)
            for path, request in zip(paths, asked, strict=True)
        ]
        nodes = [[continuation_nodes(self, one) for one in samples] for samples in continued]
        return with_seconds(nodes, seconds)

    def continuations(self, text: str, params: SamplingParams) -> list[Continuation]:
        """See ``LLM.continuations``."""
        if self.format == "question":
            raise UserError(
                f"{self.name} was trained only on questions and continues no text: ask it with "
                "glassmind ask --model"
            )
        prompt = self.text_prompt(text)
        if len(prompt) >= self.context:
            raise UserError(
                f"the text has {len(prompt)} tokens and the model reads at most {self.context}, "
                "including what it writes: shorten it"
            )
        own = replace(params, seed=derive_seed(params.seed, 0), stop=self.stop_ids)
        [generated] = self._sampler.generate([Request(tuple(prompt), own)])
        return [
            # Token by token, because a tokenizer's own decoding may drop a leading space.
            Continuation(
                b"".join(self.token_bytes[i] for i in one.token_ids).decode("utf-8", "replace"),
                one.finish,
            )
            for one in generated
        ]

    def nodes(self, prompt_ids: Sequence[int], generation: Generation, style: Style) -> list[Node]:
        """One reply as the nodes of a trace."""
        if self.format == "question":
            return chain_nodes(
                self.tokenizer,
                generation.token_ids,
                style,
                finish=generation.finish,
                logprobs=generation.logprobs,
                sampled_logprobs=generation.sampled_logprobs,
                forced=generation.forced,
            )
        characters = None if generation.text is None else len(generation.text)
        reader = NodeReader(self, prompt_ids, characters)
        whole = reader.see(
            generation.token_ids,
            generation.logprobs,
            generation.sampled_logprobs,
            generation.forced,
        )
        return whole + reader.end(generation.finish)

    def engine(
        self,
        *,
        max_rows: int,
        max_cache_bytes: int,
        weights: WeightKind = "float32",
        cache_dtype: torch.dtype | None = None,
        draft: LocalLLM | None = None,
    ) -> Engine:
        """A new engine for this model, for a server or a chat. ``weights`` is the kind of its
        weights, ``cache_dtype`` the type of keys and values. The cache is no larger than all rows
        can fill.

        ``draft`` is a smaller model that guesses ahead. Raises ``UserError`` if its tokens differ
        from this one's, or if the weights cannot be of that kind.
        """
        models: list[LanguageModel] = [pack_model(self.model, weights)]
        if draft is not None:
            if draft.vocabulary.token_bytes != self.vocabulary.token_bytes:
                raise UserError(
                    f"{draft.name} cannot draft for {self.name}: its tokens differ, and a draft "
                    "must share the model's tokenizer"
                )
            models.append(pack_model(draft.model, weights))
        row_bytes = sum(block_bytes(one, cache_dtype) for one in models) * self.context // BLOCK
        max_cache_bytes = min(max_cache_bytes, (max_rows + 1) * row_bytes)
        return Engine(
            models[0],
            vocabulary=self.vocabulary,
            encode=self.tokenizer.encode,
            max_rows=max_rows,
            max_cache_bytes=max_cache_bytes,
            chunk_tokens=CHUNK_TOKENS,
            cache_dtype=cache_dtype,
            draft=models[1] if draft is not None else None,
        )
