"""A model that a run learns from or trains further: Glassmind's own, or one from elsewhere.

    opened = open_model("runs/demo")       # or a Hugging Face folder, or a GGUF
    opened.llm.sample(...)                 # ask it
    opened.begin(run, problems)            # what its run's folder needs before training
    opened.save(run)                       # and after it

Own models are saved like the model of any run, others as a Hugging Face folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from glassmind.errors import UserError
from glassmind.interop.huggingface import choose_family
from glassmind.interop.pretrained import Pretrained
from glassmind.llm import LocalLLM
from glassmind.llm.familiarity import save_familiarity
from glassmind.model import ModelConfig, Transformer
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.tuning import is_published, publish, tokenizer_of
from glassmind.records import Problem
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import Loaded, load, save_model, with_vocabulary
from glassmind.tokenize import save


@dataclass(frozen=True)
class OpenedModel:
    """A model, and ``source``, what it was opened from."""

    llm: LocalLLM
    source: Loaded | Pretrained

    @property
    def model(self) -> Transformer:
        """The model itself."""
        return self.llm.model

    @property
    def stage(self) -> str:
        """The name under which a run keeps such a model."""
        return "direct" if self.llm.style == "direct" else "chain-of-thought"

    def new_model(self, config: ModelConfig, seed: int) -> OpenedModel:
        """An untrained model of another shape that is asked the same way.

        Raises:
            UserError: the shape cannot be used with this tokenizer, or could not be saved.
        """
        if isinstance(self.source, Loaded):
            config = with_vocabulary(config, self.source.tokenizer)
            torch.manual_seed(seed)
            made = replace(self.source, model=Transformer(config).eval(), verifier=None)
            return OpenedModel(LocalLLM.of_run(made, "the student"), made)
        config = with_vocabulary(config, tokenizer_of(self.source))
        choose_family(config)
        torch.manual_seed(seed)
        new = replace(self.source, model=Transformer(config).eval(), name="the student")
        return OpenedModel(LocalLLM.of_pretrained(new, "the student"), new)

    def begin(self, run: RunFolder, problems: Sequence[Problem]) -> None:
        """Write what belongs to an own model before it is trained."""
        if isinstance(self.source, Loaded):
            save(self.source.tokenizer, run.path / "tokenizer.json")
            save_familiarity(run.path / "familiarity.json", problems)

    def is_saved(self, run: RunFolder) -> bool:
        """Whether the run already has its finished model."""
        if isinstance(self.source, Loaded):
            return (run.model_folder(self.stage) / "model.json").is_file()
        return is_published(run)

    def save(self, run: RunFolder) -> None:
        """Write the finished model into the run's folder."""
        if isinstance(self.source, Loaded):
            save_model(run.model_folder(self.stage), self.model, self.source.tokenizer, self.stage)
        else:
            publish(replace(self.source, model=self.model.cpu(), name=run.name), run)


def open_model(source: str) -> OpenedModel:
    """The model at ``source``.

    Raises:
        UserError: there is none, it is damaged, or it has not learned to answer questions.
    """
    if not is_own(source):
        pretrained = load_any(source)
        return OpenedModel(LocalLLM.of_pretrained(pretrained, source), pretrained)
    loaded = load(source)
    if loaded.stage == "pretrain":
        raise UserError(
            f"{source} was only pretrained and answers no questions: train it on worked solutions "
            "first, with objective sft"
        )
    return OpenedModel(LocalLLM.of_run(loaded, source), loaded)
