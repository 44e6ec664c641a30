"""Constraints from the fields of a request.

OpenAI, vLLM and llama.cpp have different fields for the form of an answer. All of them are read
here into one ``Form``. ``Constraints`` compiles a form into a constraint; ``work.compiling``
schedules this among the clients.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from glassmind.errors import UserError
from glassmind.generate.constraint.constraint import (
    ChoiceConstraint,
    Constraint,
    GrammarConstraint,
    JSONObjectConstraint,
    JSONSchemaConstraint,
    RegexConstraint,
    Trial,
)
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.schemas.requests import JsonFormat, Sampled, SchemaFormat

# Clients send the same schema again and again, and a large one takes a second to compile. A
# compiled constraint takes about a hundred times the memory of its text.
KEPT = 32
KEPT_CHARACTERS = 1 << 18  # of all kept constraints together

Kind = Literal["object", "schema", "regex", "choice", "grammar"]


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer. ``value`` is a pattern, a JSON schema, a list of choices or a grammar;
    ``field`` is the request field it comes from."""

    kind: Kind
    value: Any
    field: str


def asked_form(body: Sampled) -> Form | None:
    """The form that a request asks for.

    Raises:
        Refusal: it asks for two, or for a schema that is not JSON.
    """
    forms = list(_forms(body))
    if len(forms) > 1:
        raise Refusal(
            400,
            f"{forms[0].field} and {forms[1].field} both say what the answer must look like; "
            "leave one of them out",
            param=forms[1].field,
        )
    return forms[0] if forms else None


def _forms(body: Sampled) -> Iterator[Form]:
    asked = body.response_format
    if isinstance(asked, SchemaFormat):
        yield _schema(asked.json_schema.schema_, "response_format")
    elif isinstance(asked, JsonFormat):
        yield _schema(asked.schema_, "response_format")
    fields: list[tuple[Kind, str, Any]] = [
        ("regex", "regex", body.regex),
        ("schema", "json_schema", body.json_schema),
        ("grammar", "grammar", body.grammar or None),  # llama.cpp's clients send "" for none
        ("schema", "guided_json", body.guided_json),
        ("regex", "guided_regex", body.guided_regex),
        ("choice", "guided_choice", body.guided_choice),
        ("grammar", "guided_grammar", body.guided_grammar),
    ]
    inner = body.structured_outputs
    if inner is not None:
        within = "structured_outputs."
        fields += [
            ("schema", f"{within}json", inner.json_),
            ("regex", f"{within}regex", inner.regex),
            ("choice", f"{within}choice", inner.choice),
            ("grammar", f"{within}grammar", inner.grammar),
            ("object", f"{within}json_object", inner.json_object or None),
        ]
    for kind, field, value in fields:
        if value is not None:
            yield _schema(value, field) if kind == "schema" else Form(kind, value, field)


def _schema(schema: Any, field: str) -> Form:
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError):
            raise Refusal(400, f"{field} is not the text of a JSON schema", param=field) from None
    return Form("object", None, field) if schema is None else Form("schema", schema, field)


class Constraints:
    """Compiles constraints and caches the most recent: at most ``KEPT`` of them, with at most
    ``KEPT_CHARACTERS`` of text together. Every grammar is first given to ``trial``.

    ``known`` and ``keep`` are called in the event loop, ``made`` in another thread.
    """

    def __init__(self, vocabulary: Vocabulary, trial: Trial | None = None) -> None:
        self._vocabulary, self._trial = vocabulary, trial
        self._known: OrderedDict[bytes, tuple[int, Constraint]] = OrderedDict()
        self._characters = 0

    def known(self, form: Form) -> Constraint | None:
        """The constraint for a form, if it is in the cache."""
        key, _ = _key(form)
        found = self._known.get(key)
        if found is None:
            return None
        self._known.move_to_end(key)
        return found[1]

    def made(self, form: Form) -> Constraint:
        """The constraint for a form, newly compiled.

        Raises:
            Refusal: the form is invalid or not supported; the message says why.
        """
        try:
            if form.kind == "object":
                return JSONObjectConstraint(self._vocabulary)
            kind = {
                "schema": JSONSchemaConstraint,
                "regex": RegexConstraint,
                "choice": ChoiceConstraint,
                "grammar": GrammarConstraint,
            }[form.kind]
            return kind(form.value, self._vocabulary, self._trial)
        except UserError as error:
            raise Refusal(400, str(error), param=form.field) from None

    def keep(self, form: Form, constraint: Constraint) -> None:
        """Put a constraint into the cache."""
        key, size = _key(form)
        if key in self._known or size > KEPT_CHARACTERS:
            return
        self._known[key] = (size, constraint)
        self._characters += size
        while len(self._known) > KEPT or self._characters > KEPT_CHARACTERS:
            _, (dropped, _) = self._known.popitem(last=False)
            self._characters -= dropped


def _key(form: Form) -> tuple[bytes, int]:
    """The cache key of a form, and the length of its text."""
    text = json.dumps((form.kind, form.value))
    return hashlib.sha256(text.encode("ascii")).digest(), len(text)
