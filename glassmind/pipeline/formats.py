"""What a file that is to be written is, by the end of its name. Nothing is loaded to say so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from glassmind.errors import UserError

Format = Literal["hf", "gguf", "peft"]

# A version or a size is no extension: SmolLM2-1.7B, run-2.5.
_EXTENSION = re.compile(r"\.[a-z]\w*", re.ASCII | re.IGNORECASE)


def target_format(target: Path, to: Format | None) -> Format:
    """The format of a converted model: ``to``, or what the name of ``target`` says.

    Raises:
        UserError: the name ends like a file of a format that is not written, or of another one.
    """
    end = extension(target)
    if to is None and end not in ("", ".gguf"):
        raise UserError(
            f"{target} ends in {end}, a format that is not written: the formats are a new folder "
            "(Hugging Face: config.json and safetensors), NAME.gguf (llama.cpp), and with --to "
            "peft the folder of an adapter; --to hf makes a folder of that very name"
        )
    chosen: Format = to or ("gguf" if end == ".gguf" else "hf")
    if chosen == "gguf":
        require_extension(target, ".gguf", "a GGUF")
    elif end == ".gguf":
        raise UserError(f"{target} ends in .gguf, and --to {chosen} writes a folder: rename it")
    return chosen


def require_extension(path: Path, expected: str, what: str) -> None:
    """Raise ``UserError`` where a name says that its file is something else than ``what``, which
    ends in ``expected`` or in nothing."""
    end = extension(path)
    if end not in ("", expected):
        raise UserError(
            f"{path} ends in {end}, and what is written is {what}: let it end in {expected}"
        )


def extension(path: Path) -> str:
    """What a name ends in, in lower case, if that looks like the extension of a file."""
    return path.suffix.lower() if _EXTENSION.fullmatch(path.suffix) else ""
