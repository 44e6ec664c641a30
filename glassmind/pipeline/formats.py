"""The format of a file to be written, by the end of its name. Needs no heavy imports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from glassmind.errors import UserError

Format = Literal["hf", "gguf", "peft"]

# A version or a size is not an extension: SmolLM2-1.7B, run-2.5.
_EXTENSION = re.compile(r"\.[a-z]\w*", re.ASCII | re.IGNORECASE)


def target_format(target: Path, to: Format | None) -> Format:
    """The format of a converted model: ``to``, or the one that the name of ``target`` implies.

    Raises:
        UserError: the name has the extension of an unsupported format, or of another than ``to``.
    """
    end = extension(target)
    if to is None and end not in ("", ".gguf"):
        raise UserError(
            f"{target} ends in {end}, which is not a supported format: the formats are a new "
            "folder (Hugging Face: config.json and safetensors), NAME.gguf (llama.cpp), and with "
            "--to peft the folder of an adapter; --to hf makes a folder of exactly that name"
        )
    chosen: Format = to or ("gguf" if end == ".gguf" else "hf")
    if chosen == "gguf":
        require_extension(target, ".gguf", "a GGUF file")
    elif end == ".gguf":
        raise UserError(f"{target} ends in .gguf, and --to {chosen} writes a folder: rename it")
    return chosen


def require_extension(path: Path, expected: str, what: str) -> None:
    """Raise ``UserError`` if the name's extension does not fit ``what`` is written: it must be
    ``expected`` or missing."""
    end = extension(path)
    if end not in ("", expected):
        raise UserError(
            f"{path} ends in {end}, but {what} is written: use a name that ends in {expected}"
        )


def extension(path: Path) -> str:
    """The end of a name in lower case, if it looks like the extension of a file."""
    return path.suffix.lower() if _EXTENSION.fullmatch(path.suffix) else ""
