"""Rows of JSON files as frozen dataclasses."""

import functools
import inspect
import math
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from arith.errors import UsageError
from arith.fields import read_field

Row = TypeVar("Row")


def read_row(kind: Callable[..., Row], row: Any, where: str) -> Row:
    """Read a row of a file as a dataclass.

    Args:
        kind: the dataclass.
        row: what JSON or TOML holds; fields with a default may be missing.
        where: the file and the row's place in it, for messages.

    Raises:
        UsageError: a field is missing, unknown, or of another type.
    """
    if not isinstance(row, dict):
        raise UsageError(f"{where} is a table of fields, got {row!r:.60}")
    types = _types(kind)
    wrong = sorted((set(types) ^ set(row)) - (_optional(kind) - set(row)))
    if wrong:
        raise UsageError(f"{where}: field '{wrong[0]}' is {'missing' if wrong[0] in types else 'unknown'}")
    fields = {
        name: read_field(row[name], types[name], f"{where}: field '{name}'", _check_finite)
        for name in types
        if name in row
    }
    return kind(**fields)


@functools.cache
def _optional(kind: Callable[..., Any]) -> frozenset[str]:
    """Fields that files of the same version may lack."""
    parameters = inspect.signature(kind).parameters.items()
    return frozenset(name for name, own in parameters if own.default is not inspect.Parameter.empty)


@functools.cache
def _types(kind: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _check_finite(value: Any, kind: Any, name: str) -> Any:
    # Python's JSON holds NaN and Infinity; no measurement does.
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} is a number, got {value!r}")
    return value
