"""Reading GPT-2's two files: a vocabulary and a list of merges.

OpenAI published GPT-2 with ``encoder.json`` (spellings to ids) and ``vocab.bpe`` (a pair of
spellings per line, the earliest learned first); elsewhere the same two are called ``vocab.json``
and ``merges.txt``. They do not say how text is split: that is GPT-2's own pattern, unless the
``tokenizer_config.json`` beside them says that it is a tokenizer of Qwen 2.
"""

from __future__ import annotations

from pathlib import Path

from glassmind.interop.tokenizers.checked import Checked, read_json
from glassmind.interop.tokenizers.config_files import (
    read_added_tokens,
    read_config,
    read_facts,
)
from glassmind.interop.tokenizers.gguf_tokenizer import CUTTINGS, Cutting
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.decoders import ByteLevel as ByteLevelDecoder
from glassmind.tokenize.composed.pretokenize import ByteLevel
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.tokenizer_file import read_text, wrong

END_OF_TEXT = "<|endoftext|>"
_QWEN2 = ("Qwen2Tokenizer", "Qwen2TokenizerFast")


def read_gpt2_files(vocab_file: str | Path, merges_file: str | Path) -> ComposedTokenizer:
    """The tokenizer in a vocabulary file and a merges file, with the added tokens in the files
    beside them; unless these list every one, ``<|endoftext|>`` is special too.

    Raises ``UserError``, naming the file and the field or line, for files that are not those.
    """
    vocab_file, merges_file = Path(vocab_file), Path(merges_file)
    document = read_json(vocab_file)
    document.values = {"the vocabulary": document.values}
    vocab = document.vocab("the vocabulary")
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(read_text(merges_file).split("\n"), 1):
        if not line.strip("\r") or line.startswith("#version"):
            continue
        parts = line.rstrip("\r").split(" ")
        if len(parts) != 2:
            raise wrong(merges_file, f"line {number}", "must be two tokens with a space between")
        merges.append((parts[0], parts[1]))
    folder = vocab_file.parent
    added = {token.content: token for token in read_added_tokens(folder, vocab)}
    config = read_config(folder)
    listed = config is not None and config.values.get("added_tokens_decoder") is not None
    if END_OF_TEXT in vocab and not listed:
        added[END_OF_TEXT] = AddedToken(END_OF_TEXT, vocab[END_OF_TEXT])
    special = frozenset(token.content for token in added.values() if token.special)
    cutting = _cutting(config)
    try:
        return ComposedTokenizer(
            CharacterBPE(vocab, merges, never=special & vocab.keys()),
            normalizer=cutting.normalizer,
            pre_tokenizer=cutting.pre_tokenizer,
            decoder=ByteLevelDecoder(),
            added_tokens=tuple(added.values()),
            facts=read_facts(folder),
        )
    except ValueError as error:
        raise wrong(merges_file, "the merges", f"do not fit {vocab_file}: {error}") from None


def _cutting(config: Checked | None) -> Cutting:
    """How text is cut before it is encoded."""
    if config is None:
        return CUTTINGS["gpt-2"]
    if config.maybe("tokenizer_class", str) in _QWEN2:
        return CUTTINGS["qwen2"]
    return Cutting(ByteLevel(add_prefix_space=config.get_or("add_prefix_space", bool, False)))
