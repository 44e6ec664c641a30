"""Fields of other servers that this one does not have.

A client that sets a field expects it to do something. So a body with an unknown field is refused,
and the refusal names the field and, if it is misspelled, suggests the right name. Two kinds are
accepted: fields that cannot change an answer (``user``, ``metadata`` ...), with any value, and
fields with the one value at which they change nothing (``use_beam_search: false``).
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from glassmind.serialization import JsonObject

HARMLESS = frozenset(
    (
        # OpenAI: bookkeeping, caching, pricing
        *("user", "metadata", "store", "service_tier", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_retention", "moderation"),
        # vLLM, SGLang, llama.cpp: names, queues and caches
        *("request_id", "rid", "priority", "cache_salt", "cache_prompt", "id_slot"),
        *("timings_per_token", "return_progress", "session_id", "chat_id", "keep_alive"),
        # used only together with a field that is refused
        *("mirostat_tau", "mirostat_eta", "xtc_threshold", "dynatemp_exponent", "repeat_last_n"),
        *("dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"),
    )
)
"""Fields that change no answer."""

NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "use_beam_search": (False,),
    "length_penalty": (1,),
    "early_stopping": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "include_stop_str_in_output": (False,),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "repeat_penalty": (1,),
    "typical_p": (1,),
    "tfs_z": (1,),
    "top_a": (0,),
    "top_n_sigma": (-1, 0),
    "mirostat": (0,),
    "dynatemp_range": (0,),
    "xtc_probability": (0,),
    "dry_multiplier": (0,),
    "modalities": (["text"],),
    "verbosity": ("medium",),
}
"""Fields that are accepted with the values at which they change nothing."""


def is_empty(value: object) -> bool:
    """Whether a value is empty: clients send ``null`` and empty lists for fields not in use."""
    return value is None or (isinstance(value, (str, list, dict)) and not value)


class Known(BaseModel):
    """A body or message whose unknown fields are refused.

    ``neutral`` are further fields that are accepted with certain values, ``harmless`` with any.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = NEUTRAL
    harmless: ClassVar[frozenset[str]] = HARMLESS

    @model_validator(mode="after")
    def _refuse_unknown(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if is_empty(value) or name in self.harmless:
                continue
            # 1 and true are equal in Python but not in JSON.
            if any(
                value == one and isinstance(value, bool) == isinstance(one, bool)
                for one in self.neutral.get(name, ())
            ):
                continue
            raise ValidationError.from_exception_data(
                type(self).__name__,
                [
                    InitErrorDetails(
                        type=PydanticCustomError("unknown", "{why}", {"why": self._why(name)}),
                        loc=(name,),
                        input=value,
                    )
                ],
            )
        return self

    def _why(self, name: str) -> str:
        if name in self.neutral:
            values = " or ".join(map(_json, self.neutral[name]))
            return f"this server has no such field and accepts only {values}; leave it out"
        close = get_close_matches(name, type(self).model_fields, 1)
        meant = f"did you mean {close[0]}?" if close else "leave it out"
        return f"this server does not know this field; {meant}"

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> JsonObject:
        """The OpenAPI schema of the body: these fields and no others."""
        schema: JsonObject = handler.resolve_ref_schema(handler(core_schema))
        properties = schema.setdefault("properties", {})
        for name in sorted(cls.harmless - properties.keys()):
            properties[name] = {"description": "accepted, and changes nothing"}
        for name, values in cls.neutral.items():
            properties.setdefault(name, {"enum": [*values, None]})
        schema["additionalProperties"] = False
        return schema


def _json(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
