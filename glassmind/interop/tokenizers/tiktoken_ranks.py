"""Reading tiktoken's rank files.

A line has a token's bytes in base64 and its rank, which is also its id: tokens with lower ranks
were learned earlier and are merged first. How text is split, and which special tokens follow the
ranks, is not in the file; as in OpenAI's ``tiktoken``, the name of the encoding stands for both.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from glassmind.errors import UserError
from glassmind.interop.tokenizers.config_files import read_facts
from glassmind.tokenize.bpe.byte_alphabet import spell
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.character_bpe import CharacterBPE, canonical_merges
from glassmind.tokenize.composed.decoders import ByteLevel as ByteLevelDecoder
from glassmind.tokenize.composed.patterns import CL100K, GPT2, O200K, Pattern
from glassmind.tokenize.composed.pretokenize import ByteLevel, Sequence, Split
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.tokenizer_file import read_bytes, wrong


@dataclass(frozen=True)
class Encoding:
    """What a rank file does not contain: the pattern, and the special tokens with their ids."""

    pattern: str
    special: Mapping[str, int] = field(default_factory=dict)


def _llama3_special() -> dict[str, int]:
    first = 128_000
    named = {
        0: "begin_of_text",
        1: "end_of_text",
        4: "finetune_right_pad_id",
        6: "start_header_id",
        7: "end_header_id",
        8: "eom_id",
        9: "eot_id",
        10: "python_tag",
    }
    others = iter(range(256))
    return {
        f"<|{named[i] if i in named else f'reserved_special_token_{next(others)}'}|>": first + i
        for i in range(256)
    }


ENCODINGS: Mapping[str, Encoding] = {
    "gpt2": Encoding(GPT2, {"<|endoftext|>": 50_256}),
    "r50k_base": Encoding(GPT2, {"<|endoftext|>": 50_256}),
    "p50k_base": Encoding(GPT2, {"<|endoftext|>": 50_256}),
    "cl100k_base": Encoding(
        CL100K,
        {
            "<|endoftext|>": 100_257,
            "<|fim_prefix|>": 100_258,
            "<|fim_middle|>": 100_259,
            "<|fim_suffix|>": 100_260,
            "<|endofprompt|>": 100_276,
        },
    ),
    "o200k_base": Encoding(O200K, {"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018}),
    "llama3": Encoding(CL100K, _llama3_special()),
}
"""The encodings whose rank files can be read, by name."""


def read_tiktoken_ranks(path: str | Path, encoding: str | None = None) -> ComposedTokenizer:
    """The tokenizer in a rank file.

    ``encoding`` is a name from ``ENCODINGS``, by default the file's name without its suffix. Raises
    ``UserError``, naming the file and the line, for another kind of file or an unknown encoding.
    """
    path = Path(path)
    name = path.stem if encoding is None else encoding
    if name not in ENCODINGS:
        raise UserError(
            f"{path} does not say how its tokenizer splits text, and {name!r} is not an encoding "
            f"that Glassmind knows: name the file after one of {', '.join(ENCODINGS)}"
        )
    ranks = _read_ranks(path)
    known = ENCODINGS[name]
    try:
        merges = canonical_merges(
            {token: -rank for token, rank in ranks.items()},
            lambda token: [bytes([byte]) for byte in token],
        )
        model = CharacterBPE(
            {spell(token): rank for token, rank in ranks.items()},
            [(spell(left), spell(right)) for left, right in merges],
            ignore_merges=True,
        )
        return ComposedTokenizer(
            model,
            pre_tokenizer=Sequence(
                (
                    Split(Pattern(known.pattern), "Isolated"),
                    ByteLevel(add_prefix_space=False, use_regex=False),
                )
            ),
            decoder=ByteLevelDecoder(),
            added_tokens=tuple(AddedToken(*token) for token in known.special.items()),
            facts=read_facts(path.parent),
        )
    except ValueError as error:
        raise wrong(path, "the vocabulary", f"does not fit {name}: {error}") from None


def _read_ranks(path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(read_bytes(path).splitlines(), 1):
        if not line:
            continue
        parts = line.split()
        try:
            token, rank = binascii.a2b_base64(parts[0], strict_mode=True), int(parts[1])
        except (ValueError, IndexError):
            raise wrong(path, f"line {number}", "must be a token in base64 and its rank") from None
        if len(parts) != 2 or not token or rank < 0 or token in ranks:
            raise wrong(path, f"line {number}", "must be a new token in base64 and its rank")
        ranks[token] = rank
    missing = next((byte for byte in range(256) if bytes([byte]) not in ranks), None)
    if missing is not None:
        raise wrong(path, "the vocabulary", f"lacks the byte 0x{missing:02X}")
    return ranks
