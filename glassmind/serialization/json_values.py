"""The types of what a JSON text holds."""

from __future__ import annotations

from typing import Any, TypeAlias, Union

JsonValue: TypeAlias = Union[bool, int, float, str, "list[JsonValue]", "dict[str, JsonValue]", None]
"""Whatever ``json.loads`` returns and ``json.dumps`` accepts."""

JsonObject: TypeAlias = dict[str, Any]
"""An object in a format that Glassmind does not define, such as a tool's schema or a
``config.json``. Its members are checked one by one where they are used. Glassmind's own formats are
dataclasses.
"""
