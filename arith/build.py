"""From the name of an encoding to the module."""

import contextlib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from arith.catalogue import ENCODINGS, SCHEMES
from arith.encodings.compose import Composed, Part
from arith.errors import UsageError, did_you_mean
from arith.spec import Named, parse


def encoding(
    text: str, *, width: int, heads: int, layers: int, tokens: int = 1024, digits: int | None = None
) -> Composed:
    """The encoding that a text names, for a model of this shape.

    Args:
        text: see `arith.spec`, for example "t5:buckets=64+learned@coupled".
        width, heads, layers: of the model.
        tokens: of the longest sequence it will see; a table of positions gets the rows for it.
        digits: of the longest number it will see; `tokens` if not given.

    A constructor is given those of `width, heads, head_width, layers, tokens, digits, highest` (the largest id its
    scheme gives) that it names, and the settings in the text.

    >>> encoding("learned@coupled", width=64, heads=4, layers=1, digits=20).parts
    ModuleList(
      (0): Learned(highest=21)
    )
    """
    if width % heads:
        raise UsageError(f"a model's width is a multiple of its heads: got width {width} and {heads} heads")
    digits = digits or tokens
    shape = {"width": width, "heads": heads, "head_width": width // heads, "layers": layers}
    facts = shape | {"tokens": tokens, "digits": digits}
    parts = []
    for part in parse(text):
        scheme = _made(SCHEMES.load(part.scheme.name), part.scheme, "position scheme", facts, shape)
        with _told(part):
            highest = scheme.highest(tokens, digits)
        make = ENCODINGS.load(part.encoding.name)
        parts.append(Part(_made(make, part.encoding, "encoding", facts | {"highest": highest}, shape), scheme))
    composed = Composed(parts)
    with _told(text):
        composed.check_reach(tokens, digits)
    return composed


@contextlib.contextmanager
def _told(about: object) -> Iterator[None]:
    """Errors inside say what they are about."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"encoding '{about}': {error}") from error


def _made(make: Callable[..., Any], named: Named, kind: str, facts: Mapping[str, int], shape: Mapping[str, int]) -> Any:
    named_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    signature = inspect.signature(make).parameters
    parameters = {name: parameter for name, parameter in signature.items() if parameter.kind in named_kinds}
    types = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
    settable = [name for name in parameters if name not in shape]
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
    with _told(named):
        return make(**arguments)


def _value(text: str, kind: Any, name: str) -> Any:
    if kind is bool:
        if text not in ("true", "false"):
            raise UsageError(f"{name} is true or false, got '{text}'")
        return text == "true"
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"{name} is a number, got '{text}'") from None
    return text
