"""Dataclasses to JSON or TOML and back.

Every file that this package writes for machines is a frozen dataclass, and is read back into the
same class: ``write_record`` and ``read_record`` for a whole file, ``encode`` and ``decode`` for a
value. Both follow the type annotations of the fields, so a new field needs no code here.

Read ``decode`` first, then ``encode``, then ``json_files`` and
``toml_files`` (parsing what nobody vouches for);
``field_types`` is what they know about annotations, ``json_values`` has the types of plain JSON.
"""

from glassmind.serialization.decode import decode
from glassmind.serialization.encode import encode, encode_toml
from glassmind.serialization.json_files import (
    MOST_RESULT,
    parse_json,
    parse_object,
    read_json,
    read_object,
    read_record,
    write_record,
)
from glassmind.serialization.json_values import JsonObject, JsonValue
from glassmind.serialization.toml_files import parse_toml, read_toml

__all__ = [
    "MOST_RESULT",
    "JsonObject",
    "JsonValue",
    "decode",
    "encode",
    "encode_toml",
    "parse_json",
    "parse_object",
    "parse_toml",
    "read_json",
    "read_object",
    "read_record",
    "read_toml",
    "write_record",
]
