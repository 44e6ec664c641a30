"""Glassmind: a reasoning language model you can see through.

The way data flows is the way the package is laid out, one folder an arrow:

    text ─tokenize→ ids ─data→ batches ─model→ logits ─train→ weights
                                                 │
                       ids ←generate─────────────┘
                        │
                        ▼
          completions ─reason→ answers ─grade→ verdicts ─evaluate→ the staged table

``records`` holds what passes between the folders, ``serialization`` turns dataclasses into JSON or
TOML and back, ``files`` writes files atomically, ``runs`` is what is kept on disk, ``llm`` turns
whatever answers questions into one kind of model, ``pipeline`` holds the jobs assembled from all of
it, and ``cli`` the commands. A folder imports only from those nearer
to the text than itself, never the other way.

The names below are loaded when they are first used (``lazy_names``), so ``import glassmind`` is
instant and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glassmind.errors import UserError as UserError
    from glassmind.llm.llm import LLM as LLM
    from glassmind.llm.opening import open_llm as open_llm
    from glassmind.pipeline.ask import Answer as Answer
    from glassmind.pipeline.ask import ask as ask
    from glassmind.pipeline.evaluate import evaluate_task as evaluate_task
    from glassmind.pipeline.ladder import run_ladder as run_ladder
    from glassmind.pipeline.training import run_training as run_training
    from glassmind.records import Completion as Completion
    from glassmind.records import Problem as Problem
    from glassmind.records import Step as Step
    from glassmind.records import Verdict as Verdict
    from glassmind.runs.models import Loaded as Loaded
    from glassmind.runs.models import load as load
    from glassmind.runs.recipe import Recipe as Recipe
    from glassmind.runs.recipe import read_recipe as read_recipe

__version__ = "0.1.0"

# Public name -> the module that defines it.
_LAZY = {
    "LLM": "glassmind.llm.llm",
    "Answer": "glassmind.pipeline.ask",
    "Completion": "glassmind.records",
    "Loaded": "glassmind.runs.models",
    "Problem": "glassmind.records",
    "Recipe": "glassmind.runs.recipe",
    "Step": "glassmind.records",
    "UserError": "glassmind.errors",
    "Verdict": "glassmind.records",
    "ask": "glassmind.pipeline.ask",
    "evaluate_task": "glassmind.pipeline.evaluate",
    "load": "glassmind.runs.models",
    "open_llm": "glassmind.llm.opening",
    "read_recipe": "glassmind.runs.recipe",
    "run_ladder": "glassmind.pipeline.ladder",
    "run_training": "glassmind.pipeline.training",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'glassmind' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
