"""A model in this process: weights, tokenizer, and one engine that is kept.

For every kind of model it is known how a question becomes a prompt, which tokens end a reply, and
how the reply is read. A model of a run reads one question between special tokens
(``tokenize.reasoning``), one from elsewhere reads a conversation through its chat template, and a
model that was only pretrained continues a text.

Reasoning is marked by single tokens of the vocabulary, our own ``<|think|>`` and ``<|/think|>`` or
the ``<think>`` and ``</think>`` of others; ``marks`` maps their ids to their meanings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

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
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.generate.model_runner import LanguageModel, block_bytes
from glassmind.interop.pretrained import Pretrained
from glassmind.llm.continuing import NO_ROOM, continuation_nodes, path_request, with_seconds
from glassmind.llm.costs import timed
from glassmind.llm.familiarity import Familiarity, load_familiarity
from glassmind.llm.llm import FREE_TEXT_SAMPLING, Continuation, Format, asked_text
from glassmind.llm.model import OpenPath
from glassmind.llm.prompts import ASKED, PromptFormat
from glassmind.llm.replies import NodeReader
from glassmind.llm.reply_reader import Channel, Mark
from glassmind.model import TokenScorer, Transformer
from glassmind.model.facts import model_facts
from glassmind.notebook import facts_text, table
from glassmind.quantity import quantity
from glassmind.records import Cost, Node, Problem, Trace
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import Loaded
from glassmind.runs.recipe import Recipe, SamplingConfig
from glassmind.tokenize import SavedTokenizer, Style, chain_nodes, encode_prompt
from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.composed.added_tokens import AddedToken, AddedTokenFinder
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.special import ANSWER, END, END_THINK, STEP, THINK

_ASKED_BY: Mapping[Format, str] = {
    "question": "one question",
    "chat": "a conversation, through its chat template",
    "text": "a text to continue",
}

CHUNK_TOKENS = 512  # most prompt tokens in one pass of a server, while which other replies wait

_THINKING: Mapping[str, Mark] = {"<think>": "think", "</think>": "answer"}
_TAIL = 8  # tokens at the end of a prompt that are searched for a mark


@dataclass(frozen=True, eq=False, repr=False)
class LocalLLM:
    """A model with everything that is needed to ask it.

    ``format`` is its input: ``question`` (a run's model), ``chat`` (through ``template``), or
    ``text`` (which it continues). ``prompts`` is the text around a question, unless the format is
    ``question``. ``lines_are_steps`` is true for a model from elsewhere that was trained to write
    one step per line and the answer in the last line. A run's model has ``recipe``, ``run`` and
    ``familiarity``; ``scorer`` is its verifier.
    """

    name: str
    model: Transformer
    tokenizer: SavedTokenizer | ComposedTokenizer
    format: Format
    stop_ids: frozenset[int]
    bos_id: int | None = None
    template: ChatTemplate | None = None
    style: Style = "chain"
    scorer: TokenScorer | None = None
    recipe: Recipe | None = None
    run: RunFolder | None = None
    familiarity: Familiarity | None = None
    default_sampling: SamplingConfig = FREE_TEXT_SAMPLING
    prompts: PromptFormat = field(default_factory=PromptFormat)
    lines_are_steps: bool = False

    def __post_init__(self) -> None:
        if self.format == "question" and not self.prompts.bare:
            raise UserError(
                f"{self.name} was trained on bare questions: it takes no prompt file, no examples, "
                "and no choice of whether to think"
            )
        if self.prompts.think is not None and not self.can_think:
            raise UserError(
                f"{self.name} cannot be told whether to think: its template has no such option"
            )

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

    # ------------------------------------------------------------------ what it is

    @property
    def context(self) -> int:
        """The most tokens that a prompt and its answer may have together."""
        return self.model.config.max_tokens

    @property
    def can_think(self) -> bool:
        """Whether it can be told to reason first or to answer without reasoning."""
        if self.template is None:
            return self.format == "question" and self.style == "chain"
        return "enable_thinking" in self.template.source

    @property
    def eos_id(self) -> int | None:
        """The token that ends a text: among those that end a reply, the one its tokenizer names."""
        if isinstance(self.tokenizer, ComposedTokenizer):
            named = self.tokenizer.facts.eos_token
            known = None if named is None else self.tokenizer.id_of(named)
            if known in self.stop_ids:
                return known
        return min(self.stop_ids, default=None)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What each id of the model's output stands for."""
        return Vocabulary.of(
            self.tokenizer, end_ids=self.stop_ids, size=self.model.config.vocab_size
        )

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes of each id; empty for a special token or an id without a token."""
        return tuple(data or b"" for data in self.vocabulary.token_bytes)

    @cached_property
    def marks(self) -> Mapping[int, Mark]:
        """Which ids begin the reasoning, begin the answer, or end a step."""
        special = self.tokenizer.special
        marks: dict[int, Mark] = {}
        if self._has_our_special_tokens:
            marks[special[THINK]] = "think"
            marks[special[END_THINK]] = "answer"
            marks[special[ANSWER]] = "answer"
            marks[special[STEP]] = "step"
        elif isinstance(self.tokenizer, ComposedTokenizer):
            for spelling, mark in _THINKING.items():
                token_id = self.tokenizer.id_of(spelling)
                if token_id is not None:
                    marks[token_id] = mark
        return marks

    @property
    def _has_our_special_tokens(self) -> bool:
        return all(name in self.tokenizer.special for name in (THINK, END_THINK, ANSWER, STEP))

    @cached_property
    def longest_text(self) -> int:
        """The most bytes of text that the context could hold; longer text is not encoded at all."""
        return self.context * max(1, max(map(len, self.token_bytes), default=1))

    def channel_behind(self, prompt_ids: Sequence[int]) -> Channel:
        """Whether a reply to this prompt begins with reasoning, by the last mark near its end."""
        for token_id in reversed(prompt_ids[-_TAIL:]):
            mark = self.marks.get(token_id)
            if mark is not None:
                return "reasoning" if mark == "think" else "content"
        return "content"

    def special_ids(self, spellings: Collection[str]) -> frozenset[int]:
        """The ids of the special tokens with these spellings."""
        special = self.tokenizer.special
        return frozenset(special[one] for one in spellings if one in special)

    def spelling(self, token_id: int) -> str:
        """A token for display: its text, or its name if it is special."""
        data = self.token_bytes[token_id]
        if data:
            return data.decode("utf-8", "replace")
        known = token_id < self.tokenizer.vocab_size
        return self.tokenizer.token_text(token_id) if known else f"<id {token_id}>"

    # ------------------------------------------------------------------ prompts

    def with_scorer(self, scorer: TokenScorer) -> LocalLLM:
        """The same model with its verifier. The packed weights are shared."""
        judged = replace(self, scorer=scorer)
        if "packed" in self.__dict__:
            judged.__dict__["packed"] = self.packed
        return judged

    def with_prompts(self, prompts: PromptFormat) -> LocalLLM:
        """See ``LLM.with_prompts``."""
        return replace(self, prompts=prompts)

    def prompt(self, question: str, style: Style) -> list[int]:
        """The ids that ask ``question``.

        The spelling of a special token in ``question`` stays text.

        Raises:
            UserError: the question has more characters than the context can hold, or the chat
                template refuses it.
        """
        if self.format == "question":
            self._check_length(len(question))
            return encode_prompt(self.tokenizer, question, style)
        if self.format == "text":
            return self.text_prompt(self.prompts.continued(question, style))
        think = self.prompts.think
        if think is None and style == "direct" and self.can_think:
            think = False
        return self.chat_prompt(self.prompts.messages(question, style), think=think)

    def text_prompt(self, text: str, *, special: bool = True, marked: bool = False) -> list[int]:
        """Ids of a text to continue; with ``special``, after the token that begins a text, if there
        is one.

        With ``marked`` the spelling of a special token in ``text`` is that token; use it for
        trusted text only.
        """
        self._check_length(len(text))
        ids = [self.bos_id] if special and self.bos_id is not None else []
        if not marked:
            return ids + self.tokenizer.encode(text)
        if isinstance(self.tokenizer, ComposedTokenizer):
            return ids + self.tokenizer.encode_marked(text)
        special_tokens = self.tokenizer.special.items()
        finder = AddedTokenFinder((name, AddedToken(name, i)) for name, i in special_tokens)
        for part in finder.split(text, special=True):
            ids += [part.token_id] if isinstance(part, AddedToken) else self.tokenizer.encode(part)
        return ids

    def chat_prompt(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        think: bool | None = None,
        variables: Mapping[str, Any] | None = None,
        begin_answer: bool = True,
        continue_last: bool = False,
    ) -> list[int]:
        """Ids of a conversation, up to where the model's turn begins.

        Without ``begin_answer`` nothing is put after the last message; with ``continue_last`` the
        ids end where its text does, so that the model continues it. ``variables`` are for the
        template. A model of a run was trained on single questions: it reads only the user's last
        message, and ``think`` false asks it for the answer without steps.

        Raises:
            UserError: the model is not made for conversations, or its template refuses this one.
        """
        self._check_length(sum(len(m["content"] or "") for m in messages))
        if self.format == "question":
            if tools:
                raise UserError(f"{self.name} was trained only on questions and supports no tools")
            if continue_last or not begin_answer:
                raise UserError(
                    f"{self.name} was trained only on questions: it cannot continue a message"
                )
            question = next((m["content"] for m in reversed(messages) if m["role"] == "user"), None)
            if not (question or "").strip():
                raise UserError(
                    "the conversation has no question: it needs a message of the user with text"
                )
            style: Style = "direct" if think is False else self.style
            return encode_prompt(self.tokenizer, asked_text(self, str(question)), style)
        if self.template is None or not isinstance(self.tokenizer, ComposedTokenizer):
            raise UserError(
                f"{self.name} has no chat template, so it was not made for conversations; "
                "use /v1/completions"
            )
        given = {} if think is None else {"enable_thinking": think}
        return self.template.encode(
            self.tokenizer,
            messages,
            tools=tools,
            add_generation_prompt=begin_answer,
            continue_final_message=continue_last,
            **{**given, **(variables or {})},
        )

    def _check_length(self, characters: int) -> None:
        """Refuse text that cannot fit, before it is encoded."""
        if characters > self.longest_text:
            raise UserError(
                f"the prompt has {characters} characters, and the model's context of "
                f"{self.context} tokens cannot hold them"
            )

    def check(self, question: str, style: Style) -> None:
        """Raise ``UserError`` if ``question`` leaves no room in the context for an answer."""
        if len(question) > self.longest_text:
            raise UserError(
                f"the question has {len(question)} characters and the model reads at most "
                f"{self.context} tokens, including its answer: shorten it"
            )
        length = len(self.prompt(question, style))
        if length >= self.context:
            raise UserError(
                f"the question {question[:60]!r}... has {quantity(length, 'token')} and the model "
                f"reads at most {self.context}, including its answer: shorten it"
            )

    def warning(self, question: str) -> str | None:
        """How the question differs from what the model was trained on, if it does."""
        if self.familiarity is not None:
            return self.familiarity.warning(question)
        if self.format == "text":
            return (
                f"{self.name} has no chat template: it was not made for conversations, and gets "
                "the question as plain text to continue"
            )
        return None

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
