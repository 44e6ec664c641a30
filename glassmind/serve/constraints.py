"""Constraints from the fields of a request.

OpenAI, vLLM and llama.cpp have different fields for the form of an answer. All of them are read
here into one ``Form``.
"""

from __future__ import annotations

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
)
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.schemas.requests import JsonFormat, Sampled, SchemaFormat

KEPT = 32  # clients ask for the same schema again and again, and a large one takes a second

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
        Refusal: it asks for two, or for a schema that is no JSON.
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
    """Makes constraints, and remembers the last ones. For one thread, and not the event loop's."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: OrderedDict[str, Constraint] = OrderedDict()

    def of(self, form: Form | None) -> Constraint | None:
        """The constraint that keeps a form; ``None`` where nothing is asked.

        Raises:
            Refusal: it cannot be read, or not be kept; the sentence says why.
        """
        if form is None:
            return None
        key = json.dumps((form.kind, form.value))
        constraint = self._known.pop(key, None)
        if constraint is None:
            try:
                constraint = self._made(form)
            except UserError as error:
                raise Refusal(400, str(error), param=form.field) from None
        self._known[key] = constraint
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return constraint

    def _made(self, form: Form) -> Constraint:
        if form.kind == "object":
            return JSONObjectConstraint(self._vocabulary)
        made = {
            "schema": JSONSchemaConstraint,
            "regex": RegexConstraint,
            "choice": ChoiceConstraint,
            "grammar": GrammarConstraint,
        }[form.kind]
        return made(form.value, self._vocabulary)
