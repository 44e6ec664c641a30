"""What a method or a reward may need from a session."""

from __future__ import annotations

from typing import Literal

Need = Literal[
    "direct",
    "chain",
    "steps",
    "instructions",
    "verifier",
    "reinforced",
    "tokens",
    "calculator",
    "thinking",
    "answers",
]
"""A model that answers without steps, a model that writes steps first, one whose chains can be
continued after any step (``llm.model.StepModel``), one that does what a prompt says
(``llm.model.PromptedModel``), a verifier, a second model that has also learned from reward, control
over which tokens a model writes (weights in this process, not a remote server), chains that are
sampled with a calculator, tokens that mark the end of its thinking, and the reference answers of
the problems."""
