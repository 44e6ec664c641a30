"""What a method or a reward may need of the session that it is given."""

from __future__ import annotations

from typing import Literal

Need = Literal["direct", "chain", "verifier", "answers"]
"""A model that is asked for the answer at once, one that is asked for steps before it, a verifier,
and the reference answers of the problems."""
