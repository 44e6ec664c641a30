"""Nested settings as one level of dotted keys, so that two recipes can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping


def flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Tables as dotted keys, values as text: ``train.steps`` -> ``300``."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            written = value if isinstance(value, str) else json.dumps(value, default=str)
            found[prefix + key] = written
    return found
