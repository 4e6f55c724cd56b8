"""TOML tables into dataclasses, strictly: an unknown, missing or mistyped key is an error that names its path."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_origin, get_type_hints


class RecipeError(ValueError):
    """The recipe cannot be used; the message names the key and says what is expected."""


def require(good: bool, key: str, message: str) -> None:
    """Raises RecipeError with the key's path unless `good`."""
    if not good:
        raise RecipeError(f"{key}: {message}")


def build(kind: type, tree: dict[str, Any], where: str) -> Any:
    """Makes the dataclass `kind` from a TOML table; `where` is the key path for messages. A field whose name is not
    possible in Python gives its key as `metadata={"key": ...}`."""
    hints = get_type_hints(kind)
    fields = {entry.metadata.get("key", entry.name): entry for entry in dataclasses.fields(kind)}
    unknown = sorted(set(tree) - set(fields))
    require(not unknown, where or "recipe", f"unknown key {', '.join(unknown)}; known are {', '.join(fields)}")
    values = {}
    for key, entry in fields.items():
        path = f"{where}.{key}".lstrip(".")
        if key in tree:
            values[entry.name] = _value(tree[key], hints[entry.name], path)
        else:
            optional = entry.default is not dataclasses.MISSING or entry.default_factory is not dataclasses.MISSING
            require(optional, path, "is missing")
    return kind(**values)


def _value(value: Any, hint: Any, path: str) -> Any:
    """A TOML value as the type that the field has."""
    if dataclasses.is_dataclass(hint):
        require(isinstance(value, dict), path, "must be a table")
        return build(hint, value, path)
    if hint is float:
        require(isinstance(value, (int, float)) and not isinstance(value, bool), path, "must be a number")
        return float(value)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is list:
        require(isinstance(value, list), path, "must be a list")
        return [_value(item, inner[0], f"{path}[{n}]") for n, item in enumerate(value)]
    if origin is dict:
        require(isinstance(value, dict), path, "must be a table")
        return {name: _value(item, inner[1], f"{path}.{name}") for name, item in value.items()}
    require(isinstance(value, hint) and (hint is bool or not isinstance(value, bool)), path, f"must be {hint.__name__}")
    return value
