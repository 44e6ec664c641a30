"""What an answer must look like, from the fields of a request that say so."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

from glassmind.generate.constraint.constraint import (
    Constraint,
    JSONObjectConstraint,
    JSONSchemaConstraint,
    RegexConstraint,
)
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.serve.access.refusals import Refusal

KEPT = 32  # clients ask for the same schema again and again, and making its machine takes time


class Constraints:
    """Makes constraints, and remembers the last ones. For one thread, and not the event loop's."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known: OrderedDict[str, Constraint] = OrderedDict()

    def of(
        self, *, regex: str | None = None, schema: Any = None, any_object: bool = False
    ) -> Constraint | None:
        """The constraint of a regular expression, of a JSON schema, or of any JSON object; ``None``
        where nothing is asked.

        Raises:
            UserError: it cannot be read, or would take too large a machine.
        """
        asked = (regex is not None) + (schema is not None) + any_object
        if asked == 0:
            return None
        if asked > 1:
            raise Refusal(400, "an answer can fit a regex or a JSON schema, not both")
        key = json.dumps((regex, schema))
        constraint = self._known.pop(key, None)
        if constraint is None:
            constraint = self._made(regex, schema)
        self._known[key] = constraint
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return constraint

    def _made(self, regex: str | None, schema: Any) -> Constraint:
        if regex is not None:
            return RegexConstraint(regex, self._vocabulary)
        if schema is not None:
            return JSONSchemaConstraint(schema, self._vocabulary)
        return JSONObjectConstraint(self._vocabulary)
