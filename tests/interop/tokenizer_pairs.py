"""Tokenizers twice: as Glassmind reads them, and in the library that they were made for.

The real ones lie in the folder of real data. The others are trained on the spot by the
``tokenizers`` and ``sentencepiece`` libraries, one in each style that is in wide use.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from unittest import mock

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import sentencepiece
import tiktoken
from nasty_strings import nasty_strings
from tiktoken.load import load_tiktoken_bpe
from tiktoken_ext import openai_public
from tokenizers import AddedToken, Regex, Tokenizer, models, trainers
from tokenizers import decoders as decode
from tokenizers import normalizers as normal
from tokenizers import pre_tokenizers as pre
from tokenizers import processors as post

from glassmind.interop.tokenizers import (
    read_gpt2_files,
    read_sentencepiece_model,
    read_tiktoken_ranks,
    read_tokenizer_json,
)
from glassmind.tokenize.composed.patterns import CL100K, QWEN2
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer


@dataclass(frozen=True)
class Pair:
    """One tokenizer, as ``ours`` and as functions of the reference, of which ``encode`` leaves the
    spellings of special tokens text. ``theirs`` is the reference itself."""

    name: str
    ours: ComposedTokenizer
    theirs: object

    def encode(self, text: str) -> list[int]:
        if isinstance(self.theirs, Tokenizer):
            self.theirs.encode_special_tokens = True
            return self.theirs.encode(text, add_special_tokens=False).ids
        if isinstance(self.theirs, tiktoken.Encoding):
            return self.theirs.encode_ordinary(text)
        assert isinstance(self.theirs, sentencepiece.SentencePieceProcessor)
        ids: list[int] = self.theirs.encode(text)
        return ids

    def decode(self, ids: list[int]) -> str:
        if isinstance(self.theirs, Tokenizer):
            return self.theirs.decode(ids)
        assert isinstance(self.theirs, tiktoken.Encoding | sentencepiece.SentencePieceProcessor)
        text: str = self.theirs.decode(ids)
        return text

    def encode_marked(self, text: str, template: bool) -> list[int] | None:
        """``None`` where the reference has no such thing."""
        if isinstance(self.theirs, Tokenizer):
            self.theirs.encode_special_tokens = False
            return self.theirs.encode(text, add_special_tokens=template).ids
        if isinstance(self.theirs, tiktoken.Encoding) and not template:
            return self.theirs.encode(text, allowed_special="all")
        return None

    def leaked(self, text: str) -> bool:
        """Whether the reference makes a special token of its spelling in ``text``, unasked: its
        model does, where the vocabulary lists the token."""
        normalizer = self.ours.normalizer
        text = text if normalizer is None else normalizer.normalize(text)
        return any(spelling in text for spelling in self._leaking)

    @cached_property
    def _leaking(self) -> list[str]:
        return [
            spelling
            for spelling, token_id in self.ours.special.items()
            if token_id in self.encode(f"{spelling} a{spelling} {spelling}")
        ]

    def unlike(self, text: str) -> list[str]:
        """The characters of ``text`` that the two tell apart even alone: one of them has older
        Unicode tables, in which the character is not assigned or of another class."""
        return [
            character
            for character in sorted(set(text))
            if not character.isascii()
            and any(
                self.ours.encode(probe) != self.encode(probe)
                for probe in (f"a{character}b", f"!{character}!", f" {character}{character} ")
            )
        ]


# The real ones.

REAL = ("gpt2", "qwen3", "llama3_2", "cl100k_base", "o200k_base", "llama2")


@cache
def real_pair(name: str, data_folder: Path) -> Pair:
    """The tokenizer called ``name`` under ``data_folder``."""
    folder = data_folder / "tokenizers"
    if name == "gpt2":
        files = [folder / "gpt2" / file for file in ("encoder.json", "vocab.bpe")]
        gpt2 = Tokenizer(models.BPE.from_file(*map(str, files)))
        gpt2.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
        gpt2.decoder = decode.ByteLevel()
        gpt2.add_special_tokens(["<|endoftext|>"])
        return Pair(name, read_gpt2_files(*files), gpt2)
    if name == "llama2":
        file = folder / "llama2" / "tokenizer.model"
        processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
        return Pair(name, read_sentencepiece_model(file), processor)
    if name in openai_public.ENCODING_CONSTRUCTORS:
        file = folder / "tiktoken" / f"{name}.tiktoken"
        # The library's own definition, but for the place of the file.
        here = mock.patch.object(
            openai_public, "load_tiktoken_bpe", lambda url, **_: load_tiktoken_bpe(str(file))
        )
        with here:
            definition = openai_public.ENCODING_CONSTRUCTORS[name]()
        return Pair(name, read_tiktoken_ranks(file), tiktoken.Encoding(**definition))
    file = folder / name / "tokenizer.json"
    return Pair(name, read_tokenizer_json(file), Tokenizer.from_file(str(file)))


# Those that are trained here.


def corpus() -> list[str]:
    """Paragraphs of this project's documents, and nasty strings."""
    documents = sorted(Path(__file__).parents[2].glob("docs/*.md"))
    paragraphs = [
        paragraph
        for document in documents
        for paragraph in document.read_text("utf-8").split("\n\n")
    ]
    return paragraphs[:800] + list(nasty_strings(1, 1500))


def _trained(tokenizer: Tokenizer, trainer: trainers.Trainer) -> Tokenizer:
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def _with_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The same BPE with a token for each byte at the end of its vocabulary, and byte fallback."""
    content = json.loads(tokenizer.to_str())
    vocab = content["model"]["vocab"]
    for byte in range(256):
        vocab.setdefault(f"<0x{byte:02X}>", len(vocab))
    content["model"]["byte_fallback"] = content["model"]["fuse_unk"] = True
    return Tokenizer.from_str(json.dumps(content))


def _byte_level(pre_tokenizer: pre.PreTokenizer, **settings: object) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    for name, value in settings.items():
        setattr(tokenizer, name, value)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decode.ByteLevel()
    return _trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=1500,
            initial_alphabet=pre.ByteLevel.alphabet(),
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            show_progress=False,
        ),
    )


_BYTES = pre.ByteLevel(add_prefix_space=False, use_regex=False)


def smollm() -> Tokenizer:
    """Digit by digit, then GPT-2's pattern; tokens for tools that are not special."""
    tokenizer = _byte_level(
        pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)])
    )
    tokenizer.add_tokens(["<tool_call>", AddedToken("</tool_call>", normalized=False)])
    return tokenizer


def qwen() -> Tokenizer:
    """Qwen's pattern, after characters and their accents have been joined."""
    split = pre.Split(Regex(QWEN2), "isolated")
    return _byte_level(pre.Sequence([split, _BYTES]), normalizer=normal.NFC())


def llama3() -> Tokenizer:
    """GPT-4's pattern; pieces that are tokens need no merges; a token before each text."""
    split = pre.Split(Regex(CL100K), "isolated")
    tokenizer = _byte_level(pre.Sequence([split, _BYTES]))
    content = json.loads(tokenizer.to_str())
    content["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(content))
    start = tokenizer.token_to_id("<|im_start|>")
    tokenizer.post_processor = post.Sequence(
        [
            post.ByteLevel(trim_offsets=False),
            post.TemplateProcessing(
                single="<|im_start|> $A", special_tokens=[("<|im_start|>", start)]
            ),
        ]
    )
    return tokenizer


def deepseek() -> Tokenizer:
    """Several patterns, one after the other."""
    patterns = [
        r"\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
        r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    ]
    tokenizer = _byte_level(
        pre.Sequence([*(pre.Split(Regex(p), "isolated") for p in patterns), _BYTES])
    )
    tokenizer.post_processor = post.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>",
        special_tokens=[
            (token, tokenizer.token_to_id(token)) for token in ("<|im_start|>", "<|im_end|>")
        ],
    )
    return tokenizer


def roberta() -> Tokenizer:
    """A space before each text."""
    tokenizer = _byte_level(pre.ByteLevel(add_prefix_space=True))
    start, end = (tokenizer.token_to_id(token) for token in ("<|im_start|>", "<|im_end|>"))
    tokenizer.post_processor = post.RobertaProcessing(("<|im_end|>", end), ("<|im_start|>", start))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return tokenizer


def clip() -> Tokenizer:
    """Small letters, and words that end in ``</w>``."""
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normal.Sequence(
        [normal.NFC(), normal.Replace(Regex(r"\s+"), " "), normal.Lowercase()]
    )
    words = r"<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre.Sequence(
        [pre.Split(Regex(words), "removed", invert=True), pre.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decode.BPEDecoder()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        end_of_word_suffix="</w>",
        initial_alphabet=pre.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    return _trained(tokenizer, trainer)


def _sentencepiece_bpe(normalizer: normal.Normalizer) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizer
    # Only for training: words, which the trainer must not look across.
    tokenizer.pre_tokenizer = pre.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=["<pad>", "<unk>", "<s>", "</s>"],
        limit_alphabet=150,
        show_progress=False,
    )
    tokenizer = _with_bytes(_trained(tokenizer, trainer))
    tokenizer.pre_tokenizer = None
    return tokenizer


def gemma() -> Tokenizer:
    """Spaces become letters, nothing goes in front; unknown characters become their bytes."""
    tokenizer = _sentencepiece_bpe(normal.Replace(" ", "▁"))
    tokenizer.pre_tokenizer = pre.Split(" ", "merged_with_previous")  # as Gemma's has: does nothing
    tokenizer.decoder = decode.Sequence(
        [decode.Replace("▁", " "), decode.ByteFallback(), decode.Fuse()]
    )
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False)])
    return tokenizer


def llama() -> Tokenizer:
    """The same with a space in front."""
    tokenizer = _sentencepiece_bpe(normal.Sequence([normal.Prepend("▁"), normal.Replace(" ", "▁")]))
    tokenizer.decoder = decode.Sequence(
        [
            *(decode.Replace("▁", " "), decode.ByteFallback(), decode.Fuse()),
            decode.Strip(content=" ", left=1),
        ]
    )
    return tokenizer


def mistral() -> Tokenizer:
    """The same by ``Metaspace``, in front of the text's beginning only."""
    tokenizer = _sentencepiece_bpe(normal.Replace(" ", "▁"))
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decode.Sequence(
        [
            *(decode.Replace("▁", " "), decode.ByteFallback(), decode.Fuse()),
            decode.Strip(content=" ", left=1),
        ]
    )
    return tokenizer


def _unigram(normalizer: normal.Normalizer) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre.Metaspace()
    tokenizer.decoder = decode.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=600,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus()[::4], trainer)  # this trainer is slow
    tokenizer.post_processor = post.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    return tokenizer


def albert() -> Tokenizer:
    """Unigram on text that a chain of rules has normalized."""
    chain = [normal.Replace("``", '"'), normal.NFKD(), normal.StripAccents(), normal.Lowercase()]
    return _unigram(normal.Sequence([*chain, normal.Replace(Regex(" {2,}"), " ")]))


def xlm() -> Tokenizer:
    """Unigram on text normalized by SentencePiece's table."""
    table = sentencepiece_pair("unigram").ours.normalizer
    return _unigram(
        normal.Sequence(
            [
                normal.Precompiled(table.charsmap.blob),  # type: ignore[union-attr]
                normal.Replace(Regex(" {2,}"), " "),
            ]
        )
    )


def bert() -> Tokenizer:
    """WordPiece on words, in small letters and without accents."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normal.BertNormalizer()
    tokenizer.pre_tokenizer = pre.BertPreTokenizer()
    tokenizer.decoder = decode.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=1500, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    tokenizer = _trained(tokenizer, trainer)
    cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = post.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return tokenizer


STYLES: dict[str, Callable[[], Tokenizer]] = {
    style.__name__: style
    for style in (
        *(smollm, qwen, llama3, deepseek, roberta, clip, gemma, llama, mistral, albert, xlm, bert),
    )
}
SENTENCEPIECE: dict[str, dict[str, object]] = {
    "unigram": {"model_type": "unigram"},
    "unigram bytes": {
        **{"model_type": "unigram", "byte_fallback": True, "add_dummy_prefix": False},
        **{"normalization_rule_name": "nfkc_cf", "user_defined_symbols": ["<sep>", "<cls>"]},
    },
    "bpe": {"model_type": "bpe"},
    "bpe bytes": {
        **{"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity"},
        **{"remove_extra_whitespaces": False, "user_defined_symbols": ["<sep>", "  ", "ab"]},
        **{"allow_whitespace_only_pieces": True, "split_digits": True},
    },
}
TRAINED = (*STYLES, *(f"sentencepiece {name}" for name in SENTENCEPIECE))


@cache
def trained_pair(name: str) -> Pair:
    """The tokenizer called ``name``."""
    if name.startswith("sentencepiece "):
        return sentencepiece_pair(name.removeprefix("sentencepiece "))
    theirs = STYLES[name]()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        theirs.save(str(file))
        return Pair(name, read_tokenizer_json(file), theirs)


@cache
def sentencepiece_pair(name: str) -> Pair:
    """One trained by SentencePiece."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.model"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()),
            model_prefix=str(file.with_suffix("")),
            vocab_size=1500,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
            character_coverage=0.98,
            **SENTENCEPIECE[name],
        )
        processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
        return Pair(f"sentencepiece {name}", read_sentencepiece_model(file), processor)
