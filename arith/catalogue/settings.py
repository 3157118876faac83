"""From a name with settings, such as `t5:buckets=64`, to the thing."""

import contextlib
import inspect
import math
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from arith.catalogue.spec import Named
from arith.errors import UsageError, did_you_mean

_MOST = 2.0**63  # beyond the integers of tensors


@contextlib.contextmanager
def errors_about(about: object) -> Iterator[None]:
    """Errors inside say what they are about."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"'{about}': {error}") from error


def construct(
    make: Callable[..., Any], named: Named, kind: str, facts: Mapping[str, int], given: Collection[str]
) -> Any:
    """Call a constructor with those facts that it names, and with the settings that come with its name.

    Args:
        make: the constructor.
        named: its name and settings.
        kind: what it makes, for messages.
        facts: arguments by name.
        given: arguments that are no settings.
    """
    arguments = arguments_of(make, named, kind, facts, given)
    with errors_about(named):
        return make(**arguments)


def arguments_of(
    make: Callable[..., Any], named: Named, kind: str, facts: Mapping[str, Any], given: Collection[str]
) -> dict[str, Any]:
    """What `made` calls a constructor with."""
    named_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        signature = inspect.signature(make).parameters
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{kind} '{named.name}' is {make!r}, whose arguments cannot be seen. Register a class"
        ) from error
    parameters = {name: parameter for name, parameter in signature.items() if parameter.kind in named_kinds}
    types = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
    settable = [name for name in parameters if name not in given]
    arguments: dict[str, Any] = {name: facts[name] for name in parameters if name in facts}
    for key, value in named.settings:
        if key not in settable:
            listed = ", ".join(settable) or "none"
            raise UsageError(
                f"{kind} '{named.name}' has no setting '{key}'.{did_you_mean(key, settable)} Its settings: {listed}"
            )
        arguments[key] = _value(value, types.get(key, str), f"{named.name}:{key}")
    needed = [name for name in settable if parameters[name].default is inspect.Parameter.empty]
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise UsageError(f"{kind} '{named.name}' needs {', '.join(missing)}: write {named.name}:{missing[0]}=...")
    return arguments


def _value(text: str, kind: Any, name: str) -> Any:
    if type(None) in typing.get_args(kind):
        (kind,) = (own for own in typing.get_args(kind) if own is not type(None))
    if typing.get_origin(kind) is typing.Literal:
        allowed = typing.get_args(kind)
        if text not in allowed:
            raise UsageError(f"{name} is one of {', '.join(allowed)}; got '{text}'.{did_you_mean(text, allowed)}")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"{name} is true or false, got '{text}'")
        return text.lower() == "true"
    if kind is int:
        return _whole(text, name)
    if kind is float:
        number = _number(text)
        if number is None or not math.isfinite(number):
            raise UsageError(f"{name} is a finite number, got '{text}'")
        return number
    return text


def _whole(text: str, name: str) -> int:
    """As Python prints whole numbers, large floats among them: 1e+06."""
    number = _number(text)
    if number is None or not number.is_integer() or abs(number) > _MOST:
        raise UsageError(f"{name} is a whole number, got '{text}'")
    try:
        return int(text)
    except ValueError:
        return int(number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
