"""Loads a pretrained model of any supported format.

``load_pretrained`` detects the format: a folder of Hugging Face, a GGUF file, a checkpoint of
llama2.c, or the name of a model that is shipped as a Python package.
"""

from __future__ import annotations

from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.shipped_packages import SHIPPED_MODELS, shipped_model

PICKLE_STARTS = (b"PK\x03\x04", b"\x80")  # files of torch.save, today and formerly


def is_pretrained(model: str | Path) -> bool:
    """Whether ``load_pretrained`` can load it: a known name, a file, a folder with config.json."""
    path = Path(model)
    return str(model) in SHIPPED_MODELS or path.is_file() or (path / "config.json").is_file()


def load_pretrained(model: str | Path, dtype: torch.dtype = torch.float32) -> Pretrained:
    """Load the model at a path, or of a name in ``SHIPPED_MODELS``.

    Raises:
        UserError: there is nothing, its format is not supported, or it is damaged.
    """
    named = str(model) in SHIPPED_MODELS and not Path(model).exists()
    path = shipped_model(str(model)) if named else Path(model)
    # Each reader is imported for what it reads: most processes ask one model, or one of our own.
    if path.is_dir():
        from glassmind.interop.huggingface import load_folder

        return load_folder(path, dtype)
    if not path.is_file():
        raise UserError(
            f"there is no model {model}: give a folder or file, "
            f"or one of {', '.join(SHIPPED_MODELS)}"
        )
    with path.open("rb") as file:
        start = file.read(4)
    from glassmind.interop.gguf_header import MAGIC
    from glassmind.interop.llama2c import is_llama2c, load_llama2c

    if start == MAGIC:
        from glassmind.interop.gguf import load_gguf

        return load_gguf(path, dtype)
    if is_llama2c(path):
        return load_llama2c(path, dtype)
    if start.startswith(PICKLE_STARTS):
        from glassmind.interop.huggingface import refuse_pickle

        raise refuse_pickle(path)
    raise UserError(
        f"{path} is not a run, a GGUF file or a checkpoint of llama2.c; a model of Hugging Face is "
        "its folder"
    )
