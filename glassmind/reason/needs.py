"""What a method or a reward may need from a session."""

from __future__ import annotations

from typing import Literal

Need = Literal["direct", "chain", "verifier", "answers"]
"""A model that answers without steps, a model that writes steps first, a verifier, and the
reference answers of the problems."""
