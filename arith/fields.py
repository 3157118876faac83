"""From what a file or a text says to the type that a field is annotated with."""

import contextlib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arith.errors import UsageError, did_you_mean

WORDS: Mapping[Any, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}

# Beyond the whole numbers of tensors and of most readers of JSON; far beyond, division ends in an OverflowError.
LARGEST = 2**64


# Over 60 lines: the reader inside calls itself entry by entry, with the names and messages around it.
def read_field(
    value: Any,
    kind: Any,
    name: str,
    prepare: Callable[[Any, Any, str], Any] = lambda value, kind, name: value,
    words: Mapping[Any, str] = WORDS,
) -> Any:
    """Check a value against the type of its field, entry by entry where it is a list or a table.

    Args:
        value: what a TOML or JSON file, an option or a text holds.
        kind: the annotation: a scalar, a `Literal`, a tuple or dict of these, or a union, of whose kinds the first that
            fits counts.
        name: the field's name in messages.
        prepare: what a source allows beyond the plain value, such as "1-4" for a range: from (value, kind, name) to the
            value that is checked, for every entry of a list too.
        words: the scalar types in messages.

    Raises:
        UsageError: the value is of another type.

    >>> read_field([1, 4], tuple[int, int], "digits")
    (1, 4)
    >>> read_field(True, int | None, "digits")
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: digits is a whole number, got True
    >>> read_field("log-m", float | typing.Literal["log-n"], "sharpen")
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: sharpen is a number or log-n, got 'log-m'. Did you mean 'log-n'?
    """

    def read(value: Any, kind: Any) -> Any:
        value = prepare(value, kind, name)
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            if value is None and type(None) in arguments:
                return None
            inner = [one for one in arguments if one is not type(None)]
            return read(value, inner[0]) if len(inner) == 1 else _read_first(value, inner, name, read, words)
        if origin is typing.Literal:
            if value in arguments:
                return value
            hint = did_you_mean(str(value), map(str, arguments))
            raise UsageError(f"{name} is one of {', '.join(map(str, arguments))}; got {value!r}.{hint}")
        if origin is tuple and isinstance(value, list | tuple):
            kinds = [arguments[0]] * len(value) if Ellipsis in arguments else arguments
            if len(kinds) == len(value):
                return tuple(map(read, value, kinds))
        elif origin is dict and isinstance(value, dict):
            return {key: read(item, arguments[1]) for key, item in value.items()}
        elif origin not in (tuple, dict):
            if kind not in (*WORDS, dict, list):
                return value  # a class of the user's own: its constructor is the judge
            # Python's bool is an int, and nobody who writes `steps = true` means one step.
            allowed = (int, float) if kind is float else kind
            if isinstance(value, allowed) and isinstance(value, bool) == (kind is bool):
                if isinstance(value, int) and abs(value) >= LARGEST:
                    raise UsageError(f"{name} is {words[kind]} of 64 bits at most, got one of {value.bit_length()}")
                return value
        raise UsageError(f"{name} is {_in_words(kind, words)}, got {value!r:.60}")

    return read(value, kind)


def pop_field(values: dict[str, Any], name: str, kind: Any, default: Any, where: str) -> Any:
    """Take a field out of a table, checked against a type; the default if it is not there.

    Raises:
        UsageError: the value is of another type; the message names the field, after `where`.

    >>> pop_field({"seeds": 3}, "seeds", tuple[int, ...], (), "x.toml: ")
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: x.toml: seeds is a list, got 3
    """
    return read_field(values.pop(name), kind, f"{where}{name}") if name in values else default


def _read_first(
    value: Any, kinds: Sequence[Any], name: str, read: Callable[[Any, Any], Any], words: Mapping[Any, str]
) -> Any:
    """The value as the first of several kinds that takes it."""
    for kind in kinds:
        with contextlib.suppress(UsageError):
            return read(value, kind)
    # Not the error of any one kind, which would hide what else is allowed.
    texts = [str(text) for kind in kinds if typing.get_origin(kind) is typing.Literal for text in typing.get_args(kind)]
    allowed = " or ".join(_in_words(kind, words) for kind in kinds)
    raise UsageError(f"{name} is {allowed}, got {value!r:.60}.{did_you_mean(str(value), texts)}")


def _in_words(kind: Any, words: Mapping[Any, str]) -> str:
    if kind in words:
        return words[kind]
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    if kind is list:
        return "a list"
    if typing.get_origin(kind) is tuple:
        arguments = typing.get_args(kind)
        return "a list" if Ellipsis in arguments else f"a list of {len(arguments)} entries"
    return "a table"
