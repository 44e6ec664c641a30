"""Shared by the tokenizer benchmarks: the books, and the same vocabulary on both sides.

Import it before anything else that imports ``tokenizers``: it limits that library to one thread.
"""

from __future__ import annotations

import lzma
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers
from tokenizers import models, pre_tokenizers

from glassmind.interop.tokenizers import load_tokenizer
from glassmind.tokenize import BPETokenizer, load, save, train_bpe
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

BETWEEN = "\x1e"
OWN_SIZE = 16_384
T = TypeVar("T")
P = ParamSpec("P")


class Vocabulary(NamedTuple):
    """Makes a tokenizer anew, so that it remembers nothing: ours, and that of ``tokenizers``."""

    ours: Callable[[], BPETokenizer | ComposedTokenizer]
    theirs: Callable[[], tokenizers.Tokenizer]


def data_folder() -> Path:
    """Where the real data is."""
    if "GLASSMIND_DATA" not in os.environ:
        sys.exit("set GLASSMIND_DATA to the folder of real data")
    return Path(os.environ["GLASSMIND_DATA"])


def books(megabytes: float, split: str = "train") -> list[str]:
    """The first megabytes of the books, each a document."""
    with lzma.open(packed_books(split)) as file:
        text = file.read(int(megabytes * 1e6)).decode("utf-8", "ignore")
    return [document for document in text.split(BETWEEN) if document.strip()]


def packed_books(split: str = "train") -> Path:
    """The file of the books, which are separated by ``BETWEEN``."""
    return data_folder() / "text" / f"books_{split}.txt.xz"


def vocabulary(name: str) -> Vocabulary:
    """``gpt2``, ``llama3_2`` or ``qwen3`` as published, or ``own``."""
    if name == "own":
        return own(train_own())
    folder = data_folder() / "tokenizers" / name
    if name == "gpt2":
        theirs = tokenizers.Tokenizer(
            models.BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe"))
        )
        theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        content = theirs.to_str()
    else:
        content = (folder / "tokenizer.json").read_text("utf-8")
    return Vocabulary(
        lambda: load_tokenizer(folder), lambda: tokenizers.Tokenizer.from_str(content)
    )


def train_own() -> str:
    """The ``tokenizer.json`` of one of ours, trained on the books set aside for validation."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        save(train_bpe(books(10, "valid"), OWN_SIZE), path)
        return path.read_text("utf-8")


def own(content: str) -> Vocabulary:
    """The file that ``train_own`` made."""
    return Vocabulary(lambda: _read_own(content), lambda: tokenizers.Tokenizer.from_str(content))


def processor_seconds(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> tuple[float, T]:
    """The processor time of this process, and the result. Unlike wall-clock time, it depends
    little on other programs."""
    start = time.process_time()
    result = work(*args, **options)
    return time.process_time() - start, result


def in_own_process(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """The result of ``work``, done by a fresh process, whose peak memory is then that of ``work``
    (or of the process that started it, where that is larger)."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args, **options).result()


def _read_own(content: str) -> BPETokenizer:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(content, "utf-8")
        tokenizer = load(path)
    assert isinstance(tokenizer, BPETokenizer)
    return tokenizer
