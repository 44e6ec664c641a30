"""From the name or path that a person types to a model that can be asked.

smollm2                         a model that comes as a Python package
word-problems, or nothing       the small model that comes with this package
runs/demo                       a run of ours
model.gguf, stories15M.bin      a file
models/org--name                a folder of Hugging Face
org/name, hub:org/name          what ``glassmind pull org/name`` fetched
http://127.0.0.1:8000/v1        a server; #NAME at the end chooses one of its models
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.interop.load import is_pretrained, load_pretrained
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.pulled import default_folder, pulled_model
from glassmind.interop.shipped_packages import SHIPPED_MODELS
from glassmind.llm.llm import LLM
from glassmind.llm.local import LocalLLM
from glassmind.llm.prompts import PromptFormat
from glassmind.llm.remote import API_KEY, RemoteLLM, is_address
from glassmind.model import TokenScorer
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import (
    CLASSIFIER,
    REWARD_MODEL,
    SHIPPED,
    VERIFIER,
    Loaded,
    load,
    load_model,
)

Source = LLM | Loaded | Pretrained | str | Path | None
"""What ``as_llm`` turns into a model; ``None`` is the one that comes with the package."""

HUB = "hub:"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def open_llm(
    source: str | Path = "",
    *,
    name: str = "",
    stage: str = "",
    device: torch.device | str = "cpu",
    prompts: PromptFormat | None = None,
    api_key_variable: str = API_KEY,
) -> LLM:
    """The model that ``source`` names; if empty, the one that comes with the package.

    ``name`` is its name, by default that of its file; ``stage`` chooses a model of a run;
    ``prompts`` is the text around a question. ``api_key_variable`` is the environment variable that
    holds the key for an address.

    Raises:
        UserError: there is no such model, it is damaged, an option does not apply to its kind, or
            an address does not answer.
    """
    text = str(source) or SHIPPED
    if is_address(text):
        if stage:
            raise UserError(f"{text} is an address: only a run's folder has stages")
        return RemoteLLM.at(text, name=name, prompts=prompts, api_key_variable=api_key_variable)
    return open_local(source, name=name, stage=stage, device=device, prompts=prompts)


def open_local(
    source: str | Path = "",
    *,
    name: str = "",
    stage: str = "",
    device: torch.device | str = "cpu",
    prompts: PromptFormat | None = None,
) -> LocalLLM:
    """``open_llm`` for callers that need the weights; an address is refused."""
    text = str(source) or SHIPPED
    path = weights_at(text)
    if (Path(path) / CLASSIFIER).is_file():
        raise UserError(
            f"{text} is a classifier, which labels texts and does not write any: "
            f"glassmind classify --model {text} 'a text'"
        )
    if (Path(path) / REWARD_MODEL).is_file():
        raise UserError(
            f"{text} is a reward model, which scores answers and does not write any: "
            f"glassmind eval --task validation --reward-model {text}"
        )
    name = name or Path(text.removeprefix(HUB)).name
    if is_pretrained(path):
        if stage:
            raise UserError(f"{text} is not a run of ours, so it has no stage {stage!r}")
        pretrained = load_pretrained(path)
        pretrained.model.to(device)
        run = RunFolder(Path(path))
        if is_ladder_from_elsewhere(run):
            tuned = LocalLLM.of_tuned(pretrained, name, run, run.recipe(), prompts)
            scorer = load_model(run.model_folder(VERIFIER), tuned.tokenizer, device, tuned.model)
            return tuned.with_scorer(scorer) if isinstance(scorer, TokenScorer) else tuned
        return LocalLLM.of_pretrained(pretrained, name, prompts)
    return LocalLLM.of_run(load(path, stage, device), name, prompts)


def is_ladder_from_elsewhere(run: RunFolder) -> bool:
    """Whether a folder is a finished ladder from a model from elsewhere, with its verifier."""
    verifier = run.model_folder(VERIFIER) / "model.json"
    published = (run.path / "config.json").is_file() and (run.path / "run.json").is_file()
    return published and verifier.is_file()


def as_llm(source: Source) -> LLM:
    """``source`` as a model; a loaded model is not loaded again."""
    if source is None or isinstance(source, (str, Path)):
        return open_llm(source or "")
    if isinstance(source, Loaded):
        return LocalLLM.of_run(source, source.run.name)
    if isinstance(source, Pretrained):
        return LocalLLM.of_pretrained(source, source.name)
    return source


def weights_at(text: str) -> str:
    """Where the weights of ``text`` are. A hub name becomes the folder into which it was pulled; a
    path or a known name is returned as it is.

    Raises:
        UserError: it is an address, a misspelled name, or was not pulled.
    """
    if is_address(text):
        raise UserError(
            f"{text} is an address: this needs the weights, so give a run's folder, a file, a "
            "Hugging Face folder or a known name"
        )
    hub_name = text.removeprefix(HUB)
    if Path(text).exists():
        return str(pulled_model(Path(text)))
    if not _HUB_NAME.fullmatch(hub_name):
        if text.startswith(HUB):
            raise UserError(f"{text[:80]!r} is not a hub name: write hub:org/name")
        _refuse_misspelled(text)
        return text
    folder = default_folder(hub_name)
    if folder.is_dir():
        return str(pulled_model(folder))
    if text.startswith(HUB) or Path(text).parts[0] not in ("runs", "models"):
        raise UserError(
            f"there is no {text} here; if it is a model of the Hugging Face Hub, fetch it with "
            f"glassmind pull {hub_name}"
        )
    return text


def _refuse_misspelled(text: str) -> None:
    """Raise ``UserError`` if ``text`` does not exist and resembles the name of a known model."""
    if not Path(text).exists():
        close = difflib.get_close_matches(text[:40], (*SHIPPED_MODELS, SHIPPED), n=1)
        if close and close[0] != text:
            raise UserError(f"there is no model {text[:40]!r}; did you mean {close[0]}?")
