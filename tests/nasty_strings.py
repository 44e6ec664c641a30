"""Strings that tokenizers trip over, by the thousand, the same ones for the same seed.

Code points that Python's Unicode tables do not know are left out, unless asked for: what they are
is a question of which Unicode version an engine was built with.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

EMOJI = [
    *("👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "1️⃣", "❤️", "🧑🏿‍🚀", "☕️"),
    *("\u200d", "\ufe0f", "\U000e0067"),
]
MARKS = [
    *("e\u0301", "a\u0308\u0323", "\u0301", "ก็", "कि", "ṩ", "s\u0323\u0307", "ﬁ", "²", "Å"),
    *("\u212b", "ｆｕｌｌ", "한글", "\u1112\u1161\u11ab", "ſ", "İ", "ß", "ΑΣ", "ﷺ", "½", "Ⅷ"),
    *("①", "ʼn", "ǅ"),
]
RIGHT_TO_LEFT = ["שלום", "العربية", "\u200f", "\u202e", "مرحبا بالعالم", "\u0640"]
SPACES = [
    *(" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\xa0", "\u1680"),
    *("\u2000", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b", "\ufeff"),
    *("▁", "▁▁"),
]
WORDS = [
    *("the", "The", "THE", "don't", "DON'T", "I'll", "we've", "'s", "'S", "'ſ", "x'LL", "hello"),
    *("foo_bar", "camelCase", "HTTPServer", "1234567", "3.14", "1,000", "$", "%", "...", "!!!"),
    *("---", "</td>", "> </", "don’t", "naïve", "Köln", "中文字符", "日本語テスト", "Ελλάδα"),
    *("привет", "ＡＢ", "x²", "a", "aa", "aaa", "baaa", "ab"),
]
CONTROLS = [*map(chr, range(32)), "\x7f", "\x80", "\x9f"]
SPELLINGS = [  # of special tokens, and of what tokenizers write in place of bytes and spaces
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>"),
    *("<s>", "</s>", "<unk>", "<pad>", "<bos>", "<0x0A>", "<0xE2>", "[UNK]", "[CLS]", "##"),
    *("<tool_call>", "</tool_call>", "<think>", "<|fim_prefix|>", "Ġ", "Ċ", "ĠĠ", "<|im_", "|>"),
]
_KINDS = [EMOJI, MARKS, RIGHT_TO_LEFT, SPACES, SPACES, WORDS, WORDS, WORDS, CONTROLS, SPELLINGS]
_RANGES = [(32, 127), (0xA0, 0x3000), (0x3000, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000)]


def nasty_strings(seed: int, count: int, *, unassigned: bool = False) -> Iterator[str]:
    """``count`` strings of one to a few hundred characters."""
    rng = random.Random(seed)
    for _ in range(count):
        yield "".join(_part(rng, unassigned) for _ in range(rng.randint(1, 12)))


def _part(rng: random.Random, unassigned: bool) -> str:
    chance = rng.random()
    if chance < 0.80:
        return rng.choice(rng.choice(_KINDS))
    if chance < 0.88:
        return rng.choice(rng.choice(_KINDS)) * rng.randint(2, 70)
    if chance < 0.94:
        return "".join(_code_point(rng, unassigned) for _ in range(rng.randint(1, 5)))
    return " " * rng.randint(1, 3)


def _code_point(rng: random.Random, unassigned: bool) -> str:
    while True:
        character = chr(rng.randrange(*rng.choice(_RANGES)))
        if unassigned or unicodedata.category(character) != "Cn":
            return character
