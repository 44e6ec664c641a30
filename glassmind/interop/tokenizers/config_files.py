"""What lies next to a tokenizer's vocabulary: facts, chat templates and added tokens.

tokenizer_config.json     which tokens begin and end a text, the chat template, the added tokens
chat_template.jinja       the chat template, in newer folders; additional_chat_templates/NAME.jinja
                          are others, of which ``tool_use`` is for conversations with tools
added_tokens.json         tokens that were added to the vocabulary, in older folders
special_tokens_map.json   which of them are special, in older folders

A ``tokenizer.json`` holds its added tokens itself. SentencePiece's ``tokenizer.model`` and GPT-2's
``vocab.json`` and ``merges.txt`` do not: a chat model made from such a tokenizer has its
``<|im_start|>`` in these files alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from glassmind.interop.tokenizers.checked import Checked, read_json
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.tokenizer import MAX_ID, TokenizerFacts
from glassmind.tokenize.tokenizer_file import read_text

CONFIG = "tokenizer_config.json"
TOOL_USE = "tool_use"
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")
_MORE_NAMED = ("sep_token", "cls_token", "mask_token")
_LONGEST = 1000  # characters of an added token
_MOST = 100_000  # added tokens


def read_config(folder: Path) -> Checked | None:
    """``tokenizer_config.json``, if it is there."""
    file = folder / CONFIG
    return read_json(file) if file.is_file() else None


def read_facts(folder: Path) -> TokenizerFacts:
    """What the files in ``folder`` say of a tokenizer, beside its tokens."""
    config = read_config(folder)
    named = {} if config is None else _named_templates(config)
    default_file = folder / "chat_template.jinja"
    if default_file.is_file():
        named = {"default": read_text(default_file)}
    tool_file = folder / "additional_chat_templates" / f"{TOOL_USE}.jinja"
    if tool_file.is_file():
        named[TOOL_USE] = read_text(tool_file)
    tokens = {} if config is None else {name: _spelling(config, name) for name in _NAMED}
    return TokenizerFacts(
        chat_template=named.get("default"), tool_template=named.get(TOOL_USE), **tokens
    )


def _named_templates(config: Checked) -> dict[str, str]:
    """The chat templates in a config: one, or a list of them with names."""
    field = "chat_template"
    if isinstance(config.values.get(field), list):
        return {part.get("name", str): part.get("template", str) for part in config.objects(field)}
    template = config.maybe(field, str)
    return {} if template is None else {"default": template}


def _spelling(config: Checked, field: str) -> str | None:
    """A token, spelled out or as an object with its spelling in ``content``."""
    if isinstance(config.values.get(field), dict):
        return config.object(field).get("content", str)
    return config.maybe(field, str)


# ------------------------------------------------------------------------------- added tokens


def read_added_tokens(folder: Path, known: Mapping[str, int]) -> tuple[AddedToken, ...]:
    """The tokens that the files in ``folder`` add to a vocabulary, ``known`` by spelling and id.

    ``added_tokens_decoder`` in the config says everything; without it, ``added_tokens.json`` has
    the ids, and a token is special if a field of the config or of ``special_tokens_map.json`` names
    it. A token of the vocabulary that is named so is special as well. One that has no id anywhere
    is left out, because no model has a row for it.

    Raises:
        UserError: a file is not what it must be, or gives a token an id that another one has.
    """
    config = read_config(folder)
    if config is not None and config.values.get("added_tokens_decoder") is not None:
        found = dict(_decoder(config.object("added_tokens_decoder")))
    else:
        found = {}
    special = _special(folder, config)
    old_file = folder / "added_tokens.json"
    if not found and old_file.is_file():
        found = {
            spelling: AddedToken(
                spelling, token_id, special=spelling in special, normalized=spelling not in special
            )
            for spelling, token_id in read_json_vocab(old_file).items()
        }
    for spelling in special:
        if spelling in known:
            found.setdefault(spelling, AddedToken(spelling, known[spelling]))
    _check(found, known, config, old_file)
    return tuple(sorted(found.values(), key=lambda token: token.token_id))


def read_json_vocab(file: Path) -> dict[str, int]:
    """A file that is one object: spellings to ids."""
    document = read_json(file)
    document.values = {"tokens": document.values}
    return document.vocab("tokens")


def _decoder(part: Checked) -> Iterator[tuple[str, AddedToken]]:
    for number in part.values:
        token = part.object(number)
        if not (number.isascii() and number.isdigit() and len(number) <= 9):
            raise part.wrong(number[:40], "must be named by the token's id")
        content = token.get("content", str)
        yield (
            content,
            AddedToken(
                content,
                int(number),
                special=token.get_or("special", bool, False),
                normalized=token.get_or("normalized", bool, False),
                lstrip=token.get_or("lstrip", bool, False),
                rstrip=token.get_or("rstrip", bool, False),
                single_word=token.get_or("single_word", bool, False),
            ),
        )


def _special(folder: Path, config: Checked | None) -> list[str]:
    """The spellings that the config, or the map of special tokens, names, each once."""
    file = folder / "special_tokens_map.json"
    sources = [config] if config is not None else []
    sources += [read_json(file)] if file.is_file() else []
    spellings: list[str] = []
    for source in sources:
        for field in (*_NAMED, *_MORE_NAMED):
            spellings += filter(None, [_spelling(source, field)])
        more = source.values.get("additional_special_tokens")
        for index, one in enumerate(more if isinstance(more, list) else ()):
            if isinstance(one, dict):
                one = one.get("content")
            if not isinstance(one, str):
                raise source.wrong(f"additional_special_tokens[{index}]", "must be a token")
            source.check_text("additional_special_tokens", one)
            spellings.append(one)
    return list(dict.fromkeys(spellings))


def _check(
    found: Mapping[str, AddedToken], known: Mapping[str, int], config: Checked | None, old: Path
) -> None:
    """Refuse added tokens that cannot be: too long, too many, or with another token's id."""
    place = Checked(old, "", {}) if config is None else config
    by_id = {token_id: spelling for spelling, token_id in known.items()}
    for spelling, token in found.items():
        shown = repr(spelling[:40])
        if not spelling or len(spelling) > _LONGEST or len(found) > _MOST:
            raise place.wrong(
                "added tokens", f"must be at most {_MOST}, of 1 to {_LONGEST} characters each"
            )
        if token.token_id > MAX_ID:
            raise place.wrong("added tokens", f"give {shown} an id above {MAX_ID}")
        if by_id.setdefault(token.token_id, spelling) != spelling:
            raise place.wrong(
                "added tokens", f"give {shown} the id {token.token_id}, which another token has"
            )
        if known.get(spelling, token.token_id) != token.token_id:
            raise place.wrong(
                "added tokens", f"give {shown} another id than the vocabulary, {known[spelling]}"
            )
