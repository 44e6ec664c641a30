"""Finished models: saved into a run's folder, loaded from one.

loaded = load("runs/demo")
loaded.model, loaded.tokenizer, loaded.verifier
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal

import torch

from glassmind.errors import UserError
from glassmind.grade.chain_features import FEATURES
from glassmind.interop.building import skeleton
from glassmind.model import ModelConfig, TokenScorer, Transformer
from glassmind.model.facts import model_facts
from glassmind.notebook import facts_text, table
from glassmind.runs.checkpoint import load_tensors, save_tensors, sha256
from glassmind.runs.folder import FORMER_STAGES, RunFolder, existing_run
from glassmind.runs.recipe import Recipe
from glassmind.runs.weights import load_weights, named_weights
from glassmind.serialization import decode, read_json, write_record
from glassmind.tokenize import SavedTokenizer, Style, Tokenizer, fingerprint
from glassmind.tokenize import load as load_tokenizer
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.token_kinds import token_kinds

SHIPPED = "word-problems"
REINFORCED = "reinforced"
STAGES = (REINFORCED, "chain-of-thought", "direct", "pretrain")
VERIFIER = "verifier"
CLASSIFIER = "classifier.json"
"""What the folder of a classifier has, and no other run's."""
FORMAT = 1  # of model.json


@dataclass(frozen=True, slots=True)
class SavedModel:
    """``model.json``: describes the tensors next to it.

    ``tokenizer`` is the fingerprint of the one they were trained with, ``sha256`` the checksum of
    the tensor file. A scorer has ``judge_layers`` blocks above its trunk; ``trunk`` names the stage
    whose weights the trunk has, if they are not stored again. ``features`` is the number of
    features that its judge is weighed against (``TokenScorer``).
    """

    format: int
    kind: Literal["transformer", "scorer"]
    stage: str
    tokenizer: str
    config: ModelConfig
    sha256: str
    judge_layers: int | None = None
    trunk: str | None = None
    features: int = 0

    def __post_init__(self) -> None:
        if (self.kind == "scorer") != (self.judge_layers is not None):
            raise ValueError("judge_layers must be given for a scorer, and for no other kind")
        if not 0 <= (self.judge_layers or 0) <= 1000:
            raise ValueError("judge_layers must be a small number")
        if self.features not in ((0, FEATURES) if self.kind == "scorer" else (0,)):
            raise ValueError(f"features must be 0 or, for a scorer, {FEATURES}")
        if self.trunk is not None and self.trunk not in (*STAGES, *FORMER_STAGES.values()):
            raise ValueError(f"trunk must be one of {', '.join(STAGES)}")


@dataclass(frozen=True, repr=False)
class Loaded:
    """A run's model, ready to use, with what is needed to use it."""

    run: RunFolder
    recipe: Recipe
    stage: str
    tokenizer: SavedTokenizer
    model: Transformer
    verifier: TokenScorer | None

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("recipe", self.recipe.name),
            *model_facts(self.model.config, self.model),
            ("verifier", "none" if self.verifier is None else "scores every step"),
        ]

    def __str__(self) -> str:
        return facts_text(f"{self.run.path}, {self.stage}", self._facts())

    __repr__ = __str__  # the default would print every layer

    def _repr_html_(self) -> str:
        return table((), [("name", f"{self.run.path}, {self.stage}"), *self._facts()])

    @property
    def style(self) -> Style:
        """The style in which the model was trained to answer."""
        return "direct" if self.stage == "direct" else "chain"


def save_model(
    folder: Path,
    module: Transformer | TokenScorer,
    tokenizer: SavedTokenizer | ComposedTokenizer,
    stage: str,
    trunk_stage: str = "",
) -> None:
    """Write ``model.safetensors`` and ``model.json`` into ``folder``.

    A scorer whose trunk is, weight for weight, the model of another stage of the run names it in
    ``trunk_stage``; the trunk is then not written a second time. ``model.json`` comes last, so a
    folder that has it is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trunk = module.trunk if isinstance(module, TokenScorer) else module
    weights = named_weights(module)
    if trunk_stage:
        weights = {n: w for n, w in weights.items() if not n.startswith("trunk.")}
    save_tensors(weights, folder / "model.safetensors")
    described = SavedModel(
        format=FORMAT,
        kind="scorer" if isinstance(module, TokenScorer) else "transformer",
        stage=stage,
        tokenizer=_mark(tokenizer),
        config=trunk.config,
        sha256=sha256(folder / "model.safetensors"),
        judge_layers=module.judge_layers if isinstance(module, TokenScorer) else None,
        trunk=trunk_stage or None,
        features=module.features if isinstance(module, TokenScorer) else 0,
    )
    write_record(folder / "model.json", described)


def _mark(tokenizer: SavedTokenizer | ComposedTokenizer) -> str:
    if isinstance(tokenizer, ComposedTokenizer):
        return tokenizer.fingerprint
    return fingerprint(tokenizer)


def load_model(
    folder: Path,
    tokenizer: SavedTokenizer | ComposedTokenizer,
    device: torch.device | str = "cpu",
    trunk: Transformer | None = None,
) -> Transformer | TokenScorer:
    """Read back what ``save_model`` wrote, in evaluation mode.

    A scorer that was written without its trunk takes the weights of ``trunk``, or, if none is
    given, those of the stage that ``model.json`` names.

    Raises:
        UserError: the folder is incomplete, damaged, or made for another tokenizer.
    """
    found = _described(folder / "model.json")
    config = found.config
    padded = isinstance(tokenizer, ComposedTokenizer) and config.vocab_size > tokenizer.vocab_size
    fits = padded or config.vocab_size == tokenizer.vocab_size  # published models have spare rows
    if not fits or found.tokenizer != _mark(tokenizer):
        raise UserError(
            f"the model in {folder} (vocabulary {config.vocab_size}) was trained with another "
            f"tokenizer than the one next to it (vocabulary {tokenizer.vocab_size})"
        )
    tensors = load_tensors(folder / "model.safetensors")
    if found.sha256 != sha256(folder / "model.safetensors"):
        raise UserError(f"{folder / 'model.safetensors'} does not match its checksum")
    if found.trunk is not None:
        if trunk is None:
            shared = load_tensors(folder.parent / found.trunk / "model.safetensors")
        else:
            shared = named_weights(trunk)
        tensors |= {f"trunk.{name}": weight for name, weight in shared.items()}
    # Tensors are only allocated once the file is known to hold tensors of that size.
    skeleton(
        config,
        str(folder),
        n_tensors=len(tensors),
        n_numbers=sum(tensor.numel() for tensor in tensors.values()),
    )
    with torch.random.fork_rng(devices=[]):
        made = Transformer(config)
        module: Transformer | TokenScorer = made
        if found.judge_layers is not None:
            module = TokenScorer(made, found.judge_layers, found.features)
    load_weights(module, tensors, str(folder / "model.safetensors"))
    return module.to(device).eval()


def _described(path: Path) -> SavedModel:
    data = read_json(path)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UserError(f"{path} is not a model of format {FORMAT}")
    # An unknown setting may change what the model computes, so unknown keys are refused.
    return decode(SavedModel, data, str(path))


def shipped_run() -> RunFolder:
    """The run of the model that comes with the package.

    Raises:
        UserError: this installation has none.
    """
    shipped = resources.files("glassmind") / "weights" / SHIPPED
    return existing_run(Path(str(shipped)))


def load(path: str | Path = SHIPPED, stage: str = "", device: torch.device | str = "cpu") -> Loaded:
    """Load the model of a run's folder, or the one that comes with the package.

    ``stage`` picks a model of the run; by default the best there is (the one that has learned from
    reward, else the chain-of-thought model, else the direct one, else the pretrained one).

    Raises:
        UserError: there is no run, no such model in it, or a file of it is damaged.
    """
    run = shipped_run() if str(path) == SHIPPED else existing_run(Path(path))
    folder = run.path
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    ready = [s for s in STAGES if (run.model_folder(s) / "model.json").is_file()]
    chosen = stage or (ready[0] if ready else "")
    if chosen not in ready:
        have = f"it has {', '.join(ready)}" if ready else "it has none yet: --resume the run"
        raise UserError(f"{folder} has no finished model {stage or 'at all'}; {have}")
    model = load_model(run.model_folder(chosen), tokenizer, device)
    if not isinstance(model, Transformer):
        raise UserError(f"{run.model_folder(chosen)} holds a scorer, not a language model")
    verifier = None
    if (run.model_folder(VERIFIER) / "model.json").is_file():
        scorer = load_model(run.model_folder(VERIFIER), tokenizer, device)
        verifier = scorer if isinstance(scorer, TokenScorer) else None
    return Loaded(run, run.recipe(), chosen, tokenizer, model, verifier)


def with_vocabulary(config: ModelConfig, tokenizer: Tokenizer) -> ModelConfig:
    """``config`` with the vocabulary size and, if it needs them, the token kinds of its tokenizer.

    Raises:
        UserError: it names another size, or reads steps that the tokenizer has no tokens for.
    """
    if config.vocab_size not in (0, tokenizer.vocab_size):
        raise UserError(
            f"model.vocab_size is {config.vocab_size} and the tokenizer has "
            f"{tokenizer.vocab_size} tokens: leave it 0 to follow the tokenizer"
        )
    config = replace(config, vocab_size=tokenizer.vocab_size)
    if config.reasoning.reads_steps:
        kinds = token_kinds(tokenizer)
        config = replace(config, reasoning=replace(config.reasoning, token_kinds=kinds))
    return config
