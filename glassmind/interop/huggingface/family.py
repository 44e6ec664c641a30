"""One ``model_type`` of Hugging Face transformers: how its configs and tensors are translated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.canonical import assemble, canonical, differences
from glassmind.interop.huggingface.config_rules import Rule, Values
from glassmind.interop.huggingface.json_fields import Fields
from glassmind.interop.huggingface.rope_rules import Rope
from glassmind.interop.huggingface.tensor_names import Table
from glassmind.model import ModelConfig


def fixed(*tables: Table) -> Callable[[ModelConfig], tuple[Table, ...]]:
    """Tables that are the same for every config."""
    return lambda config: tables


def _nothing_ignored(config: ModelConfig) -> tuple[str, ...]:
    return ()


def _nothing_more(config: ModelConfig) -> Mapping[str, Tensor]:
    return {}


@dataclass(frozen=True)
class Family:
    """How the configs and the tensors of one ``model_type`` translate.

    ``rules`` are those of ``config_rules``. ``layouts(config)`` are the tables of ``tensor_names``
    that a file may follow, with any of ``prefixes``; the first of each is written. ``inside`` names
    the member of config.json that describes the language model, if it is only a part of the model;
    such a family is read and not written. Tensors that match one of the regular expressions
    ``ignored(config)`` are ignored; those of ``more(config)`` are written only because transformers
    expects them.
    """

    model_type: str
    architecture: str
    rules: tuple[Rule, ...]
    layouts: Callable[[ModelConfig], tuple[Table, ...]]
    prefixes: tuple[str, ...] = ("model.", "")
    inside: str | None = None
    ignored: Callable[[ModelConfig], tuple[str, ...]] = field(default=_nothing_ignored)
    more: Callable[[ModelConfig], Mapping[str, Tensor]] = field(default=_nothing_more)

    def read(self, fields: Fields) -> ModelConfig:
        """The config that a config.json describes.

        Raises:
            UserError: a field is missing, has the wrong type, or a value that we cannot compute.
        """
        if fields.has("quantization_config"):
            raise fields.wrong(
                "quantization_config", "is not supported: the weights must be ordinary numbers"
            )
        if self.inside is not None:
            fields = fields.table(self.inside)
        values: Values = {}
        for rule in self.rules:
            values |= rule.read(fields)
        stretched = values.get("positions.scaling.kind", "none") != "none"
        one_rope = any(isinstance(rule, Rope) for rule in self.rules)
        if stretched and one_rope and values.get("attention.window"):
            raise UserError(
                f"{fields.where}: sliding_window together with a scaled RoPE is not supported: "
                "only layers that see everything can stretch theirs"
            )
        try:
            return assemble(ModelConfig, values)
        except (ValueError, ArithmeticError) as error:
            raise UserError(f"{fields.where} does not describe a model: {error}") from None

    def write(self, config: ModelConfig) -> Values:
        """The fields of config.json that describe ``config``.

        Raises:
            UserError: the family cannot express it; the message names every value that it lacks.
        """
        lost = self.cannot_express(config)
        if lost:
            raise UserError(f"{self.model_type} has no way to say {'; '.join(lost)}")
        return self._fields(config)

    def cannot_express(self, config: ModelConfig) -> list[str]:
        """The values of ``config`` that the family cannot express, as ``name = value``.

        The fields are written and read back; values that are then different cannot be expressed.
        """
        whole: dict[str, object] = json.loads(json.dumps(self._fields(config)))
        if self.inside is not None:
            whole = {self.inside: whole}
        try:
            read = self.read(Fields(whole, self.model_type))
        except UserError as error:
            return [str(error).removeprefix(f"{self.model_type}: ")]
        return [f"{name} = {value!r}" for name, value, _ in differences(config, read)]

    def _fields(self, config: ModelConfig) -> Values:
        whole = canonical(config)
        whole = replace(whole, feed_forward=replace(whole.feed_forward, d_hidden=config.d_hidden))
        written: Values = {}
        for rule in self.rules:
            written |= rule.write(whole)
        return written
