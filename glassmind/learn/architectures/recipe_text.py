"""A preset as the text of a recipe: to read, or, scaled down, to train."""

from __future__ import annotations

from collections.abc import Mapping

import tomli_w

from glassmind.learn.architectures.lineage import Value, flatten, in_use
from glassmind.learn.architectures.published import MODELS
from glassmind.learn.architectures.scaled_down import scaled_down
from glassmind.model import PRESETS, ModelConfig
from glassmind.serialization import JsonObject


def model_table(config: ModelConfig) -> str:
    """The ``[model]`` table of a recipe, with every field that this model uses.

    An unused field, such as RoPE's base for learned positions, appears only if the recipe would
    otherwise not read back as ``config``.
    """
    default, used = flatten(ModelConfig()), in_use(config)
    told = {
        name: value
        for name, value in flatten(config).items()
        if value != default[name] or (name in used and value not in (0, "none"))
    }
    return tomli_w.dumps(_nested({f"model.{name}": value for name, value in told.items()}))


def laptop_recipe(name: str) -> str:
    """A recipe that ``glassmind train`` takes: preset ``name`` at a laptop's size."""
    published = MODELS[name]
    head = {
        "name": name.replace(".", "-"),
        "about": f"A small {published.title}: {published.idea}",
    }
    return (
        tomli_w.dumps(head)
        + "\n# All other values have their defaults; glassmind train FILE --set KEY=VALUE.\n\n"
        + model_table(scaled_down(PRESETS[name]))
    )


def _nested(values: Mapping[str, Value]) -> JsonObject:
    """Dotted names as tables within tables."""
    tree: JsonObject = {}
    for name, value in values.items():
        *parents, leaf = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree
