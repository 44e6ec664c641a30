"""Reward models in run folders: saved when they are trained, opened to score completions.

    load_reward_model("runs/preferred").judge(llm, problems, traces)

Besides the scorer in ``models/reward``, the folder has ``reward-model.json``, and its tokenizer. If
the model chats, the folder is a Hugging Face folder as well, whose weights are the scorer's trunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.interop.load import load_pretrained
from glassmind.model import TokenScorer, Transformer
from glassmind.pipeline.tuning import tokenizer_of
from glassmind.reason.reward_model import RewardModel
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import REWARD_MODEL, load_model, save_model, tokenizer_mark
from glassmind.serialization import read_record, write_record
from glassmind.tokenize import SavedTokenizer, load
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

STAGE = "reward"


@dataclass(frozen=True, slots=True)
class KeptRewardModel:
    """``reward-model.json``. ``published`` says that the trunk is that of the Hugging Face folder
    around it."""

    format: int
    published: bool


def save_reward_model(
    run: RunFolder, scorer: TokenScorer, tokenizer: SavedTokenizer | ComposedTokenizer
) -> None:
    """Write the scorer into ``run``; without its trunk, if the tokenizer is one of a model from
    elsewhere, which the run's folder has. ``reward-model.json`` comes last."""
    published = isinstance(tokenizer, ComposedTokenizer)
    trunk = "chain-of-thought" if published else ""
    save_model(run.model_folder(STAGE), scorer, tokenizer, STAGE, trunk)
    write_record(run.path / REWARD_MODEL, KeptRewardModel(1, published))


def load_reward_model(source: str | Path) -> RewardModel:
    """The reward model of a finished run, in evaluation mode.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    run = RunFolder(Path(source))
    if not (run.path / REWARD_MODEL).is_file():
        raise UserError(
            f"{source} is not a run with a finished reward model: `glassmind train reward-model` "
            "makes one"
        )
    kept = read_record(KeptRewardModel, run.path / REWARD_MODEL)
    tokenizer: SavedTokenizer | ComposedTokenizer
    trunk: Transformer | None = None
    if kept.published:
        pretrained = load_pretrained(run.path)
        tokenizer, trunk = tokenizer_of(pretrained), pretrained.model
    else:
        tokenizer = load(run.path / "tokenizer.json")
    scorer = load_model(run.model_folder(STAGE), tokenizer, trunk=trunk)
    if not isinstance(scorer, TokenScorer):
        raise UserError(f"{run.model_folder(STAGE)} holds a language model, not a reward model")
    return RewardModel(str(source), scorer.requires_grad_(False), tokenizer_mark(tokenizer))
