"""A small trained tokenizer, nasty strings, and the ``tokenizers`` library on one thread."""

from __future__ import annotations

import os
import random

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

from glassmind.tokenize import BPETokenizer, train_bpe

NAMES = ["Mia", "Noah", "Zoé", "Jürgen", "Aisha", "Łukasz", "Tom", "Ines"]
NOUNS = ["pencils", "marbles", "cookies", "books", "stamps", "apples", "shells", "cards"]

NASTY = [
    "",
    " ",
    "   ",
    "\n",
    "\r\n\r\n",
    " \n \n x",
    "a  b   c",
    "don't DON'T we'll I'M 'Tis it's",
    "3*12=36 1234567890 3.14 1,800 ¾ ²³ ٣٤",
    "<|end|> <|question|>x<|/think|> <|answer|>42",
    "naïve café Straße Ελληνικά Русский 日本語テキスト हिन्दी العربية",
    "e\u0301 \u200b zero\u200dwidth \ufeffbom",
    "😀👩‍👩‍👧‍👦🏳️‍🌈",
    "tab\there\x00nul\x7f\x85\xa0nbsp\u2028line\u3000wide",
    "foo_bar(x)+=1; // ---- !!! ???\n\n\n  }",
    "a" * 300 + " " + "ab" * 200,
    "the " * 40 + "\t" * 30 + "\n" * 30 + " " * 100 + ".",
    "'s'S'ſ 'll 'LL 'lL ''''",
    "\U0010ffff\ue000\U000e0001",
]


def story(rng: random.Random) -> str:
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    name, noun = rng.choice(NAMES), rng.choice(NOUNS)
    return (
        f"{name} has {a} boxes of {b} {noun}. How many {noun} does {name} have?\n"
        f"{noun}: {a}*{b}={a * b}\n"
    )


@pytest.fixture(scope="session")
def stories() -> list[str]:
    rng = random.Random(0)
    return [story(rng) for _ in range(400)]


@pytest.fixture(scope="session")
def bpe(stories: list[str]) -> BPETokenizer:
    return train_bpe([*stories, *NASTY], 520)


@pytest.fixture(params=NASTY, ids=lambda text: ascii(text)[:24])
def nasty(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text
