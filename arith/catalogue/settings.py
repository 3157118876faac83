"""Calls constructors with the settings that a text gives, such as `t5:buckets=64`."""

import contextlib
import inspect
import math
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from arith.catalogue.spec import Named
from arith.errors import UsageError, did_you_mean
from arith.fields import read_field

_MOST = 2.0**63  # beyond the integers of tensors


@contextlib.contextmanager
def errors_about(about: object) -> Iterator[None]:
    """Turn a ValueError inside into a UsageError that begins with what it is about.

    >>> with errors_about("window:left=-1"):
    ...     raise ValueError("left is 0 or more")
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: 'window:left=-1': left is 0 or more
    """
    # ValueErrors alone: encodings and tasks raise them for what they refuse. Any other error is a bug, and keeps its
    # traceback.
    try:
        yield
    except ValueError as error:
        raise UsageError(f"'{about}': {error}") from error


def construct(
    make: Callable[..., Any], named: Named, kind: str, facts: Mapping[str, int], given: Collection[str]
) -> Any:
    """Call a constructor with the settings of its name, and with the facts that its parameters ask for.

    Args:
        make: the constructor.
        named: its name and settings.
        kind: the kind of thing that it makes, for messages.
        facts: arguments known from elsewhere, such as the model's width; parameters of other names do not get them.
        given: the parameters that a setting cannot replace.

    Raises:
        UsageError: a setting is unknown, missing, of another type, or refused by the constructor.
    """
    arguments = arguments_of(make, named, kind, facts, given)
    with errors_about(named):
        return make(**arguments)


def arguments_of(
    make: Callable[..., Any], named: Named, kind: str, facts: Mapping[str, Any], given: Collection[str]
) -> dict[str, Any]:
    """The arguments with which `construct` calls a constructor."""
    named_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        signature = inspect.signature(make).parameters
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{kind} '{named.name}' is {make!r}, whose arguments cannot be seen. Register a class"
        ) from error
    parameters = {name: parameter for name, parameter in signature.items() if parameter.kind in named_kinds}
    # Resolved hints, not `parameter.annotation`, which is a text under `from __future__ import annotations`.
    types = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
    settable = [name for name in parameters if name not in given]
    arguments: dict[str, Any] = {name: facts[name] for name in parameters if name in facts}
    for key, value in named.settings:
        if key not in settable:
            listed = ", ".join(settable) or "none"
            raise UsageError(
                f"{kind} '{named.name}' has no setting '{key}'.{did_you_mean(key, settable)} Its settings: {listed}"
            )
        arguments[key] = read_field(value, types.get(key, str), f"{named.name}:{key}", _from_text)
    needed = [name for name in settable if parameters[name].default is inspect.Parameter.empty]
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise UsageError(f"{kind} '{named.name}' needs {', '.join(missing)}: write {named.name}:{missing[0]}=...")
    return arguments


def _from_text(text: str, kind: Any, name: str) -> Any:
    """Read a value of a type from text; a text that is none is returned as it is, for `read_field` to refuse."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind is int or kind is float:
        # Whole numbers too go through float, so that 1e6 and 64.0 are read as Python prints them.
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if kind is int:
            return _whole(text, number) if number.is_integer() and abs(number) <= _MOST else text
        if not math.isfinite(number):
            raise UsageError(f"{name} is a finite number, got '{text}'")
        return number
    return text


def _whole(text: str, number: float) -> int:
    """The exact whole number that a text writes."""
    try:
        return int(text)  # exact beyond 2**53, where floats are not
    except ValueError:
        return int(number)  # as Python prints large floats: 1e+06
