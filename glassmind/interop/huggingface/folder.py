"""Reads and writes a model's folder in Hugging Face's layout.

config.json               the architecture, with the field names of its family
generation_config.json    among other things, the tokens that end an answer
model.safetensors         the weights, or model.safetensors.index.json and several files
tokenizer.json            the tokenizer, with tokenizer_config.json
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.files import atomic_folder, write_json, write_text
from glassmind.interop.huggingface.families import FAMILIES
from glassmind.interop.huggingface.family import Family
from glassmind.interop.huggingface.json_fields import Fields, read_fields, shown
from glassmind.interop.huggingface.safetensors_file import write_file
from glassmind.interop.huggingface.tensor_names import Binding, bind
from glassmind.interop.huggingface.weights import INDEX, WEIGHTS, load_weights, shapes_of
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.turn_ends import stop_ids
from glassmind.model import ModelConfig, Transformer
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

CONFIG, GENERATION = "config.json", "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "encoder.json", "vocab.bpe")
MOST_SHARD_BYTES = 5_000_000_000

Outline = tuple[str, torch.dtype, torch.Size]


def load_folder(path: str | Path, dtype: torch.dtype = torch.float32) -> Pretrained:
    """Load a model from a folder in Hugging Face's layout, in evaluation mode.

    Weights that are stored as ``dtype`` are mapped from the file and cost no copy.

    Raises:
        UserError: a file is missing, damaged or a pickle; ``model_type`` is unknown; or the config
            asks for something that this package does not compute.
    """
    folder = Path(path)
    fields = read_fields(folder / CONFIG)
    family = _family(fields)
    config = family.read(fields)
    model = load_weights(config, family, folder, dtype)
    tokenizer = None
    if any((folder / name).is_file() for name in TOKENIZER_FILES):
        from glassmind.interop.tokenizers import composed, load_tokenizer, read_facts

        found = load_tokenizer(folder)
        if not isinstance(found, ComposedTokenizer):  # one of this package's own
            found = composed(found, read_facts(folder))
        tokenizer = found
    told = [fields]
    if (folder / GENERATION).is_file():
        told.insert(0, read_fields(folder / GENERATION))
    named = next((ids for source in told if (ids := _ids(source, "eos_token_id"))), set())
    known = range(config.vocab_size)  # small models often keep ids of the large one
    template = None if tokenizer is None else tokenizer.facts.chat_template
    return Pretrained(
        model=model,
        tokenizer=tokenizer,
        chat_template=template,
        stop_ids=stop_ids(named, tokenizer, template, config.vocab_size),
        bos_id=next((token for token in _begins_with(tokenizer, told) if token in known), None),
        name=folder.resolve().name,
        source=folder,
    )


def _family(fields: Fields) -> Family:
    model_type = fields.word("model_type")
    if model_type not in FAMILIES:
        raise fields.wrong("model_type", f"is not one of {', '.join(sorted(FAMILIES))}")
    return FAMILIES[model_type]


def _begins_with(tokenizer: ComposedTokenizer | None, told: Iterable[Fields]) -> Iterable[int]:
    """The tokens before a text. Many configs name a token that their tokenizer does not use, so the
    configs count only if there is no tokenizer."""
    if tokenizer is not None:
        return tokenizer.template.before
    return next((ids for source in told if (ids := _ids(source, "bos_token_id"))), set())


def _ids(fields: Fields, name: str) -> set[int]:
    if not fields.has(name):
        return set()
    if isinstance(fields.members[name], list):
        return set(fields.sizes(name))
    return {fields.size(name)}


def save_folder(pretrained: Pretrained, path: str | Path, family: str | None = None) -> None:
    """Write a folder that ``transformers`` loads, with the same logits, atomically.

    ``family`` is a ``model_type``; by default the first that can express the model.

    Raises:
        UserError: there is something at ``path`` already, or the family (or every family) cannot
            express a value of the model's config, which is named.
    """
    folder = Path(path)
    config = pretrained.model.config
    chosen = choose_family(config, family)
    refuse_taken(folder)
    with atomic_folder(folder) as temporary:
        _write_configs(pretrained, chosen, temporary)
        _write_tokenizer(pretrained, temporary)
        _write_weights(pretrained.model, chosen, temporary)


def refuse_taken(path: Path) -> None:
    """Refuse to overwrite anything but an empty folder.

    Raises:
        UserError: there is something at ``path``.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists already; name a place that is free")


def choose_family(config: ModelConfig, name: str | None = None) -> Family:
    """The family that ``config`` is written as.

    Raises:
        UserError: none can express it, or not the one asked for.
    """
    writable = {name: family for name, family in FAMILIES.items() if family.inside is None}
    if name is not None:
        if name not in writable:
            raise UserError(f"{shown(name)} is not a family; use one of {', '.join(writable)}")
        writable[name].write(config)  # raises UserError if it cannot
        return writable[name]
    lacks = {name: family.cannot_express(config) for name, family in writable.items()}
    closest = min(lacks, key=lambda name: len(lacks[name]))
    if lacks[closest]:
        raise UserError(
            "no family of Hugging Face can express this model: the closest, "
            f"{closest}, has no way to say {'; '.join(lacks[closest])}"
        )
    return writable[closest]


def _write_configs(pretrained: Pretrained, family: Family, folder: Path) -> None:
    dtype = str(next(pretrained.model.parameters()).dtype).removeprefix("torch.")
    tokenizer = pretrained.tokenizer
    named = None if tokenizer is None else tokenizer.facts.eos_token
    eos = None if tokenizer is None or named is None else tokenizer.id_of(named)
    # The tokenizer's own first: some programs read no other.
    ends = sorted(pretrained.stop_ids, key=lambda token_id: (token_id != eos, token_id))
    tokens: dict[str, object] = {
        "bos_token_id": pretrained.bos_id,
        "eos_token_id": ends[0] if len(ends) == 1 else ends or None,
        "pad_token_id": None,
    }
    config = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        **family.write(pretrained.model.config),
        **tokens,
        "torch_dtype": dtype,
    }
    write_json(folder / CONFIG, config)
    write_json(folder / GENERATION, tokens)


def _write_tokenizer(pretrained: Pretrained, folder: Path) -> None:
    if pretrained.tokenizer is not None:
        from glassmind.interop.tokenizers import write_tokenizer_json

        write_tokenizer_json(pretrained.tokenizer, folder / "tokenizer.json")
        if not (folder / TOKENIZER_CONFIG).exists():
            # Without this, transformers uses the tokenizer that most models of the family have.
            write_json(folder / TOKENIZER_CONFIG, {"tokenizer_class": "PreTrainedTokenizerFast"})
    two = pretrained.tokenizer is not None and pretrained.tokenizer.facts.tool_template is not None
    if pretrained.chat_template is not None and not two:  # two of them lie in the config
        write_text(folder / "chat_template.jinja", pretrained.chat_template)


def _write_weights(model: Transformer, family: Family, folder: Path) -> None:
    config = model.config
    parameters = dict(model.named_parameters())
    dtype = next(model.parameters()).dtype
    more = {name: tensor.to(dtype) for name, tensor in family.more(config).items()}
    table = family.layouts(config)[0]
    bindings = bind(parameters, table, family.prefixes[0], config.experts.n_experts)
    shapes = shapes_of(bindings, parameters, config)
    kept = {
        name: parameters[binding.ours[0]].dtype for binding in bindings for name in binding.theirs
    }
    entries: list[Outline] = [(name, kept[name], shape) for name, shape in shapes.items()]
    entries += [(name, dtype, tensor.shape) for name, tensor in more.items()]
    tensors = chain(_tensors(bindings, parameters, config), more.values())
    shards = _shards(entries)
    if len(shards) == 1:
        write_file(folder / WEIGHTS, entries, tensors)
        return
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_file(folder / name, shard, (next(tensors) for _ in shard))
        places |= {entry[0]: name for entry in shard}
    total = sum(_n_bytes(entry) for entry in entries)
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": places})


def _tensors(
    bindings: Iterable[Binding],
    parameters: dict[str, torch.nn.Parameter],
    config: ModelConfig,
) -> Iterator[Tensor]:
    """Their tensors, each computed when it is written."""
    for binding in bindings:
        yield from binding.how.save([parameters[name].detach() for name in binding.ours], config)


def _shards(entries: Iterable[Outline]) -> list[list[Outline]]:
    """The tensors divided into files of at most ``MOST_SHARD_BYTES``, or of one tensor."""
    shards: list[list[Outline]] = [[]]
    room = MOST_SHARD_BYTES
    for entry in entries:
        if shards[-1] and _n_bytes(entry) > room:
            shards.append([])
            room = MOST_SHARD_BYTES
        shards[-1].append(entry)
        room -= _n_bytes(entry)
    return shards


def _n_bytes(entry: Outline) -> int:
    _, dtype, shape = entry
    return shape.numel() * dtype.itemsize
