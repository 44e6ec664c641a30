"""What a file is by its name: what is written, and what is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from glassmind.errors import UserError
from glassmind.pipeline.formats import Format, require_extension, target_format


@pytest.mark.parametrize(
    ("name", "to", "found"),
    [
        ("exported", None, "hf"),
        ("SmolLM2-1.7B", None, "hf"),
        ("run-2.5", None, "hf"),
        ("x.gguf", None, "gguf"),
        ("X.GGUF", None, "gguf"),
        ("half", "gguf", "gguf"),
        ("x.onnx", "hf", "hf"),
        ("adapter", "peft", "peft"),
    ],
)
def test_the_name_says_the_format(name: str, to: Format | None, found: str) -> None:
    assert target_format(Path(name), to) == found


@pytest.mark.parametrize("name", ["x.onnx", "x.bin", "x.safetensors", "a/b.PT", "x.mlmodel"])
def test_a_format_that_is_not_written_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(
        UserError, match=r"not a supported format: .*safetensors.*NAME.gguf.*--to peft"
    ):
        target_format(Path(name), None)


@pytest.mark.parametrize(
    ("name", "to", "said"),
    [
        ("x.onnx", "gguf", "use a name that ends in .gguf"),
        ("x.gguf", "hf", "writes a folder"),
        ("x.gguf", "peft", "writes a folder"),
    ],
)
def test_a_name_that_says_something_else_than_the_option(name: str, to: Format, said: str) -> None:
    with pytest.raises(UserError, match=said):
        target_format(Path(name), to)


def test_other_files_that_are_written() -> None:
    require_extension(Path("a.jsonl"), ".jsonl", "JSONL")
    require_extension(Path("a"), ".jsonl", "JSONL")
    with pytest.raises(UserError, match=r"ends in \.csv, but JSONL"):
        require_extension(Path("a.csv"), ".jsonl", "JSONL")
