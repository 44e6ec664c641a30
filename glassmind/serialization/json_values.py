"""The types of what a JSON text holds."""

from __future__ import annotations

from typing import Any, TypeAlias, Union

JsonValue: TypeAlias = Union[bool, int, float, str, "list[JsonValue]", "dict[str, JsonValue]", None]
"""Whatever ``json.loads`` returns and ``json.dumps`` accepts."""

JsonObject: TypeAlias = dict[str, Any]
"""An object in a format that is somebody else's, such as a tool's schema or a ``config.json``.

Its members are looked at one by one where they are needed. Formats of our own are dataclasses.
"""
