"""Finished models: saved into a run's folder, loaded from one.

loaded = load("runs/demo")
loaded.model, loaded.tokenizer, loaded.verifier
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from glassmind.errors import UserError
from glassmind.files import write_json
from glassmind.interop.building import skeleton
from glassmind.model import ModelConfig, TokenScorer, Transformer
from glassmind.runs.checkpoint import load_tensors, save_tensors, sha256
from glassmind.runs.folder import FORMER_STAGES, RunFolder, existing_run
from glassmind.runs.recipe import Recipe
from glassmind.runs.weights import load_weights, named_weights
from glassmind.serialization import decode, encode_toml, read_json
from glassmind.tokenize import SavedTokenizer, Style, Tokenizer, fingerprint
from glassmind.tokenize import load as load_tokenizer

SHIPPED = "word-problems"
STAGES = ("chain-of-thought", "direct", "pretrain")
VERIFIER = "verifier"


@dataclass(frozen=True)
class Loaded:
    """A run's model, ready to use, with what is needed to use it."""

    run: RunFolder
    recipe: Recipe
    stage: str
    tokenizer: SavedTokenizer
    model: Transformer
    verifier: TokenScorer | None

    @property
    def style(self) -> Style:
        """How the model was trained to answer."""
        return "direct" if self.stage == "direct" else "chain"


def save_model(
    folder: Path,
    module: Transformer | TokenScorer,
    tokenizer: SavedTokenizer,
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
    facts: dict[str, Any] = {
        "format": 1,
        "kind": "scorer" if isinstance(module, TokenScorer) else "transformer",
        "stage": stage,
        "tokenizer": fingerprint(tokenizer),
        "config": encode_toml(trunk.config),
    }
    if isinstance(module, TokenScorer):
        facts["judge_layers"] = module.judge_layers
        if trunk_stage:
            facts["trunk"] = trunk_stage
            weights = {n: w for n, w in weights.items() if not n.startswith("trunk.")}
    save_tensors(weights, folder / "model.safetensors")
    facts["sha256"] = sha256(folder / "model.safetensors")
    write_json(folder / "model.json", facts)


def load_model(
    folder: Path, tokenizer: SavedTokenizer, device: torch.device | str = "cpu"
) -> Transformer | TokenScorer:
    """Read back what ``save_model`` wrote, in evaluation mode.

    Raises:
        UserError: the folder is incomplete, damaged, or made for another tokenizer.
    """
    facts = read_json(folder / "model.json")
    if not isinstance(facts, dict) or facts.get("format") != 1:
        raise UserError(f"{folder / 'model.json'} is not a model of format 1")
    config = decode(ModelConfig, facts.get("config"), str(folder / "model.json"))
    if config.vocab_size != tokenizer.vocab_size or facts.get("tokenizer") != fingerprint(
        tokenizer
    ):
        raise UserError(
            f"the model in {folder} (vocabulary {config.vocab_size}) was trained with another "
            f"tokenizer than the one beside it (vocabulary {tokenizer.vocab_size})"
        )
    tensors = load_tensors(folder / "model.safetensors")
    if facts.get("sha256") != sha256(folder / "model.safetensors"):
        raise UserError(f"{folder / 'model.safetensors'} does not match its checksum")
    if "trunk" in facts:
        if facts["trunk"] not in (*STAGES, *FORMER_STAGES.values()):
            raise UserError(f"{folder / 'model.json'}: trunk must be one of {', '.join(STAGES)}")
        shared = load_tensors(folder.parent / facts["trunk"] / "model.safetensors")
        tensors |= {f"trunk.{name}": weight for name, weight in shared.items()}
    # What model.json asks for must be there before anything of that size is made.
    skeleton(
        config,
        str(folder),
        n_tensors=len(tensors),
        n_numbers=sum(tensor.numel() for tensor in tensors.values()),
    )
    with torch.random.fork_rng(devices=[]):
        trunk = Transformer(config)
        module = _around(trunk, facts, folder) if facts.get("kind") == "scorer" else trunk
    load_weights(module, tensors, str(folder / "model.safetensors"))
    return module.to(device).eval()


def _around(trunk: Transformer, facts: dict[str, Any], folder: Path) -> TokenScorer:
    layers = facts.get("judge_layers")
    if not isinstance(layers, int) or not 0 <= layers <= 1000:
        raise UserError(f"{folder / 'model.json'}: judge_layers must be a small number")
    return TokenScorer(trunk, layers)


def load(path: str | Path = SHIPPED, stage: str = "", device: torch.device | str = "cpu") -> Loaded:
    """Load the model of a run's folder, or the one that comes with the package.

    ``stage`` picks a model of the run; by default the best there is (the chain-of-thought model,
    else the direct one, else the pretrained one).

    Raises:
        UserError: there is no run, no such model in it, or a file of it is damaged.
    """
    shipped = resources.files("glassmind") / "weights" / SHIPPED
    folder = Path(str(shipped)) if str(path) == SHIPPED else Path(path)
    run = existing_run(folder)
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
    """``config`` with the vocabulary size its tokenizer has.

    Raises:
        UserError: it names another size.
    """
    if config.vocab_size not in (0, tokenizer.vocab_size):
        raise UserError(
            f"model.vocab_size is {config.vocab_size} and the tokenizer has "
            f"{tokenizer.vocab_size} tokens: leave it 0 to follow the tokenizer"
        )
    return replace(config, vocab_size=tokenizer.vocab_size)
