"""Glassmind: a reasoning language model you can see through.

What the command line does is a call each:

    glassmind.ask(question, model)            steps, votes, answer and how far to trust it
    glassmind.check(question, solution)       the first wrong step of a solution, and why
    glassmind.evaluate(task, model)           the table of methods, and every problem's answers
    glassmind.train(recipe, folder)           one model into a run's folder
    glassmind.ladder(recipe, folder)          the whole ladder with its report
    glassmind.load(model)                     model, tokenizer, verifier, recipe
    glassmind.open_llm(model)                 whatever can be asked, opened once and kept
    glassmind.compare(run, run)               two training runs beside each other
    glassmind.report(run)                     its page, written again
    glassmind.convert(model, file)            to GGUF or a folder of Hugging Face
    glassmind.classify(texts, classifier)     by a classifier that load_classifier opened
    glassmind.methods()                       the ways of answering

``model`` is a run's folder, ``smollm2``, a GGUF file, a folder of Hugging Face, a pulled name or,
where nothing needs the weights, the address of a server. What these calls return can be printed,
and draws itself in a notebook. ``help(glassmind.ask)`` has the details.

The way data flows is the way the package is laid out, one folder an arrow:

    text ─tokenize→ ids ─data→ batches ─model→ logits ─train→ weights
                                                 │
                       ids ←generate─────────────┘
                        │
                        ▼
          completions ─reason→ answers ─grade→ verdicts ─evaluate→ the staged table

``records`` holds what passes between the folders, ``step_structure`` says which step of a chain of
thought each token belongs to, ``machine`` knows about the computer it runs on,
``serialization`` turns dataclasses into JSON or TOML and back, ``files`` writes files atomically,
``cache_folder`` finds a folder that only its user can write to, ``printable`` escapes what would
control a terminal, ``notebook`` and ``quantity`` say how things look, ``callable_package`` lets
two folders be called, ``runs`` is what is kept on disk, ``llm`` turns whatever answers questions
into one kind of model, ``pipeline`` holds the jobs assembled from all of it, and ``cli`` the
commands. A folder imports only from those nearer to the text than itself, never the other way.

The names below are loaded when they are first used (``lazy_names``), so ``import glassmind`` is
instant and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glassmind.errors import UserError as UserError
    from glassmind.evaluate.run_files import Ladder as Ladder
    from glassmind.interop.pretrained import Pretrained as Pretrained
    from glassmind.llm.llm import LLM as LLM
    from glassmind.llm.opening import open_llm as open_llm
    from glassmind.pipeline.answer import Answer as Answer
    from glassmind.pipeline.ask import ask as ask
    from glassmind.pipeline.calls import compare as compare
    from glassmind.pipeline.calls import evaluate as evaluate
    from glassmind.pipeline.calls import ladder as ladder
    from glassmind.pipeline.calls import load as load
    from glassmind.pipeline.calls import report as report
    from glassmind.pipeline.calls import train as train
    from glassmind.pipeline.check import check as check
    from glassmind.pipeline.convert import convert as convert
    from glassmind.pipeline.evaluate import Evaluation as Evaluation
    from glassmind.pipeline.ladder import run_ladder as run_ladder
    from glassmind.pipeline.training import run_training as run_training
    from glassmind.pipeline.tunings.classify import classify as classify
    from glassmind.pipeline.tunings.classify import load_classifier as load_classifier
    from glassmind.reason.registry import methods as methods
    from glassmind.records import Completion as Completion
    from glassmind.records import Problem as Problem
    from glassmind.records import Step as Step
    from glassmind.records import Trace as Trace
    from glassmind.records import Verdict as Verdict
    from glassmind.runs.models import Loaded as Loaded
    from glassmind.runs.recipe import Recipe as Recipe
    from glassmind.runs.recipe import read_recipe as read_recipe

__version__ = "0.1.0"

# Public name -> the module that defines it.
_LAZY = {
    "LLM": "glassmind.llm.llm",
    "Answer": "glassmind.pipeline.answer",
    "Completion": "glassmind.records",
    "Evaluation": "glassmind.pipeline.evaluate",
    "Ladder": "glassmind.evaluate.run_files",
    "Loaded": "glassmind.runs.models",
    "Pretrained": "glassmind.interop.pretrained",
    "Problem": "glassmind.records",
    "Recipe": "glassmind.runs.recipe",
    "Step": "glassmind.records",
    "Trace": "glassmind.records",
    "UserError": "glassmind.errors",
    "Verdict": "glassmind.records",
    "ask": "glassmind.pipeline.ask",
    "check": "glassmind.pipeline.check",
    "classify": "glassmind.pipeline.tunings.classify",
    "compare": "glassmind.pipeline.calls",
    "convert": "glassmind.pipeline.convert",
    "ladder": "glassmind.pipeline.calls",
    "load": "glassmind.pipeline.calls",
    "load_classifier": "glassmind.pipeline.tunings.classify",
    "methods": "glassmind.reason.registry",
    "open_llm": "glassmind.llm.opening",
    "read_recipe": "glassmind.runs.recipe",
    "report": "glassmind.pipeline.calls",
    "run_ladder": "glassmind.pipeline.ladder",
    "run_training": "glassmind.pipeline.training",
}

# Folders that can be called (see callable_package): the attribute stays the folder.
_CALLABLE = ("evaluate", "train")

__all__ = [*_LAZY, *_CALLABLE]  # help() shows what stands here


def __getattr__(name: str) -> Any:
    if name in _CALLABLE:
        return importlib.import_module(f"glassmind.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'glassmind' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
