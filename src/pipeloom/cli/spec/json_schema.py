"""JSON schemas (draft 2020-12) of what our types become as JSON."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any]

ANY: Final[Schema] = {}
TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
YES_OR_NO: Final[Schema] = {"type": "boolean"}
_PLAIN: Final[dict[Any, Schema]] = {
    str: TEXT,
    int: WHOLE,
    bool: YES_OR_NO,
    float: {"type": "number"},
    type(None): {"type": "null"},
    Path: TEXT,
    Any: ANY,
}


def of_type(kind: Any) -> Schema:
    """Return the schema of a value of this type."""
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return one_of(*map(of_type, inner))
    if origin is tuple and (len(inner) != 2 or inner[1] is not Ellipsis):
        return {"type": "array", "prefixItems": [*map(of_type, inner)], "minItems": len(inner), "maxItems": len(inner)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": of_type(inner[1])}
    if isinstance(origin, type) and issubclass(origin, Sequence | Collection):
        return listed(of_type(inner[0]))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        return obj(**fields_of(kind))
    raise TypeError(f"{kind!r} has no schema")


def fields_of(kind: Any) -> dict[str, Schema]:
    """Return the schema of each field of a dataclass or named tuple."""
    names = kind._fields if hasattr(kind, "_fields") else [field.name for field in fields(kind)]
    hints = get_type_hints(kind)
    return {name: of_type(hints[name]) for name in names}


def obj(_title: str = "", /, *, _without: Collection[str] = (), **properties: Schema) -> Schema:
    """Return the schema of an object with exactly these properties; those in `_without` may be missing."""
    required = [name for name in properties if name not in _without]
    schema: Schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"title": _title, **schema} if _title else schema


def listed(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def mapped(value: Schema) -> Schema:
    """Return the schema of an object whose names are data."""
    return {"type": "object", "additionalProperties": value}


def one_of(*schemas: Schema) -> Schema:
    """Return the schema of what fits one of several."""
    inner = [part for schema in schemas for part in (schema["anyOf"] if [*schema] == ["anyOf"] else [schema])]
    return {"anyOf": inner} if len(inner) > 1 else inner[0]


def or_null(schema: Schema) -> Schema:
    """Return the schema of a value that may be missing."""
    return one_of(schema, {"type": "null"})


def const(value: Any) -> Schema:
    """Return the schema of one value."""
    return {"const": value}
