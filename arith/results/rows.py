"""Reads rows of JSON and TOML files as frozen dataclasses, and names the field that is wrong."""

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
    """Read one row of a file as a dataclass.

    Args:
        kind: the dataclass.
        row: the parsed JSON or TOML value; fields with a default may be missing.
        where: the file and the row's place in it, for messages.

    Raises:
        UsageError: a field is missing, unknown, or of another type.
    """
    if not isinstance(row, dict):
        raise UsageError(f"{where} is a table of fields, got {row!r:.60}")
    types = _types(kind)
    # An unknown field is refused too: it is a misspelt one, or from a newer arith that means something by it.
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
    """The fields that a row may lack."""
    # This is how old files load: a field added later has a default that says what was true before there was a choice.
    parameters = inspect.signature(kind).parameters.items()
    return frozenset(name for name, parameter in parameters if parameter.default is not inspect.Parameter.empty)


# Cached, as type hints are evaluated anew at each call and a predictions file has a row for every problem.
@functools.cache
def _types(kind: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _check_finite(value: Any, kind: Any, name: str) -> Any:
    # Python's json reads NaN and Infinity, which are not JSON; no measurement gives them, and comparisons miss a NaN.
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} is a number, got {value!r}")
    return value
