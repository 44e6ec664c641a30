"""The model that learns from preferences, and how a prompt and an answer are written for it.

One of Glassmind's own models reads and writes chains between special tokens, so it learns from
pairs of chains and stays what it is. Preferences from a file are conversations: any model learns
them through a chat template, and the result is saved like that of ``objective = "chat"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document
from glassmind.data.chats import ASSISTANT, Chat
from glassmind.data.preferences.documents import EncodedPreference
from glassmind.data.preferences.generated import Chain, ChainPair, told
from glassmind.data.preferences.records import Preference
from glassmind.errors import UserError
from glassmind.interop.pretrained import Pretrained
from glassmind.llm import LocalLLM
from glassmind.model import Transformer
from glassmind.pipeline.answer_ends import ended_documents
from glassmind.pipeline.chat_format import ChatFormat
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.prepare import step_texts
from glassmind.pipeline.tuning import publish, tokenizer_of, with_model_of
from glassmind.records import Problem
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import Loaded, load, save_model
from glassmind.runs.recipe import Recipe
from glassmind.tokenize import encode_completion, encode_prompt, save


@dataclass(frozen=True)
class Starting:
    """The model at ``recipe.start``. ``own`` is set if it answers in chains of our own format,
    ``chat`` otherwise."""

    recipe: Recipe
    pretrained: Pretrained
    own: Loaded | None
    chat: ChatFormat | None

    @classmethod
    def of(cls, recipe: Recipe) -> Starting:
        """Load the model; the recipe gets its architecture.

        Raises:
            UserError: there is none, it cannot answer, or it has no chat template.
        """
        pretrained = load_any(recipe.start)
        recipe = with_model_of(recipe, pretrained)
        if is_own(recipe.start) and not recipe.preferences.file:
            own = load(recipe.start)
            if own.stage == "pretrain":
                raise UserError(
                    f"{recipe.start} was only trained on text, so it does not answer problems yet: "
                    "start from a model that does, or give preferences.file"
                )
            return cls(recipe, pretrained, own, None)
        return cls(recipe, pretrained, None, ChatFormat.of(recipe, pretrained))

    @property
    def model(self) -> Transformer:
        """The model that is trained."""
        return self.pretrained.model if self.own is None else self.own.model

    @property
    def stage(self) -> str:
        """What its training is called in the run."""
        return "preference" if self.own is None else self.own.stage

    @property
    def llm(self) -> LocalLLM:
        """The model as it is asked."""
        if self.own is not None:
            return LocalLLM.of_run(self.own, self.recipe.start)
        assert self.chat is not None
        return LocalLLM.of_pretrained(self.chat.applied(self.pretrained), self.recipe.start)

    def chains(self, pair: ChainPair) -> EncodedPreference | None:
        """A pair of chains as ids; in words for a model that chats. ``None`` if one is too long."""
        if self.own is None:
            return self.answers(told(pair))
        prompt = encode_prompt(self.own.tokenizer, pair.problem.question, self.own.style)
        chosen, rejected = (self._chain(chain) for chain in (pair.chosen, pair.rejected))
        return EncodedPreference(tuple(prompt), chosen, rejected)

    def _chain(self, chain: Chain) -> tuple[int, ...]:
        assert self.own is not None
        direct = self.own.style == "direct"
        texts = () if direct else step_texts(chain.steps, self.recipe)
        ids = encode_completion(self.own.tokenizer, texts, chain.answer, self.own.style)
        return tuple(ids)

    def answers(self, preference: Preference) -> EncodedPreference | None:
        """A preference as ids, through the chat template; ``None`` if an answer is too long."""
        found: dict[bool, Document] = {}
        for good, answer in ((True, preference.chosen), (False, preference.rejected)):
            if answer is not None:
                document = self._answer(preference, answer)
                if document is None:
                    return None
                found[good] = document
        # A token may span the end of the prompt and the beginning of one of the answers.
        begin = min(int(document[COMPLETION].argmax()) for document in found.values())
        ids = {good: tuple(document.ids.tolist()) for good, document in found.items()}
        prompts = {whole[:begin] for whole in ids.values()}
        if len(prompts) > 1:
            raise UserError(
                f"{preference.where}: the chat template writes the prompt differently for the two "
                "answers: set chats.template to one that does not"
            )
        return EncodedPreference(
            prompts.pop(), ids.get(True, ())[begin:], ids.get(False, ())[begin:]
        )

    def _answer(self, preference: Preference, answer: str) -> Document | None:
        assert self.chat is not None
        chat = Chat((*preference.prompt, {"role": ASSISTANT, "content": answer}))
        found = ended_documents(
            [chat],
            tokenizer_of(self.pretrained),
            self.chat.template,
            self.chat.end,
            most_tokens=self.longest,
            turns="last",
            stop_ids=self.pretrained.stop_ids,
        )
        return found.documents[0] if found.documents else None

    @property
    def longest(self) -> int:
        """The most tokens of a prompt with its answers."""
        return min(self.recipe.train.row_tokens, self.recipe.model.max_tokens)

    def save(self, run: RunFolder) -> None:
        """Save the trained model into its run, as ``run`` is expected to hold it."""
        if self.own is not None:
            save_model(run.model_folder(self.stage), self.model, self.own.tokenizer, self.stage)
            return
        assert self.chat is not None
        tuned = replace(self.pretrained, model=self.model.cpu(), name=run.name)
        publish(self.chat.applied(tuned), run)

    def is_saved(self, run: RunFolder) -> bool:
        """Whether ``save`` was done."""
        if self.own is not None:
            return (run.model_folder(self.stage) / "model.json").is_file()
        return (run.path / "config.json").is_file()

    def save_tokenizer(self, run: RunFolder) -> None:
        """Save the tokenizer of one of our own models; others are saved with their model."""
        if self.own is not None:
            save(self.own.tokenizer, run.path / "tokenizer.json")


def reference_of(starting: Starting, name: str) -> Transformer:
    """The reference model: the start itself, or the model at ``name``.

    Raises:
        UserError: there is no such model, or it has another tokenizer.
    """
    if not name:
        return starting.model
    other = load_any(name)
    if tokenizer_of(other).fingerprint != tokenizer_of(starting.pretrained).fingerprint:
        raise UserError(
            f"the reference {name} has another tokenizer than {starting.recipe.start}, so their "
            "log-probabilities cannot be compared: leave options.reference empty, or set it to a "
            "model that was trained from the same start"
        )
    return other.model


def questions_of(problems: Sequence[Problem], starting: Starting) -> list[Problem]:
    """The problems whose question leaves room for two full chains in a row."""
    llm, room = starting.llm, starting.longest - 2 * starting.recipe.sampling.max_new_tokens
    fitting = [p for p in problems if len(llm.prompt(p.question, llm.style)) <= room]
    if not fitting:
        raise UserError(
            f"train.row_tokens ({starting.recipe.train.row_tokens}) must hold a question and two "
            "chains of sampling.max_new_tokens "
            f"({starting.recipe.sampling.max_new_tokens}), and it is too short for every problem: "
            "raise it"
        )
    return fitting
