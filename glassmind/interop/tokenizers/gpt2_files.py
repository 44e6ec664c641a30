"""Reading GPT-2's two files: a vocabulary and a list of merges.

OpenAI published GPT-2 with ``encoder.json`` (spellings to ids) and ``vocab.bpe`` (a pair of
spellings per line, the earliest learned first); elsewhere the same two are called ``vocab.json``
and ``merges.txt``. They do not say how text is split: that is GPT-2's own pattern.
"""

from __future__ import annotations

from pathlib import Path

from glassmind.interop.tokenizers.checked import read_json
from glassmind.interop.tokenizers.tokenizer_json import read_facts
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.decoders import ByteLevel as ByteLevelDecoder
from glassmind.tokenize.composed.pretokenize import ByteLevel
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.tokenizer_file import read_text, wrong

END_OF_TEXT = "<|endoftext|>"


def read_gpt2_files(vocab_file: str | Path, merges_file: str | Path) -> ComposedTokenizer:
    """The tokenizer in a vocabulary file and a merges file; ``<|endoftext|>`` is special.

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
    added = [AddedToken(END_OF_TEXT, vocab[END_OF_TEXT])] if END_OF_TEXT in vocab else []
    try:
        return ComposedTokenizer(
            CharacterBPE(vocab, merges, never=frozenset([END_OF_TEXT])),
            pre_tokenizer=ByteLevel(add_prefix_space=False),
            decoder=ByteLevelDecoder(),
            added_tokens=tuple(added),
            facts=read_facts(vocab_file.parent),
        )
    except ValueError as error:
        raise wrong(merges_file, "the merges", f"do not fit {vocab_file}: {error}") from None
