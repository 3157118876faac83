"""From the name of an encoding to the module."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from arith.catalogue.entries import ENCODINGS, SCHEMES
from arith.catalogue.settings import construct, errors_about
from arith.catalogue.spec import SEQUENTIAL, Named, PartSpec, parse
from arith.encodings.base import Encoding
from arith.encodings.compose import Composed, Part
from arith.encodings.positions import Scheme
from arith.errors import UsageError

# What constructors are given if they name it, and no setting replaces: the model, the data and the scheme decide it.
SHAPE = ("width", "heads", "head_width", "layers", "tokens", "digits")  # schemes
GIVEN = (*SHAPE, "highest", "resolution")  # encodings
LARGEST = 4 * 2**30  # bytes of an encoding's tensors
MANY = 2**40  # more than any tensor has: a larger setting would overflow in torch


def encoding(
    text: str,
    *,
    width: int,
    heads: int,
    layers: int,
    tokens: int = 1024,
    digits: int | None = None,
    head_width: int | None = None,
) -> Composed:
    """The encoding that a text names, for a model of this shape.

    Args:
        text: see `arith.catalogue.spec`, for example "t5:buckets=64+learned@coupled".
        width, heads, layers: of the model.
        tokens: of the longest sequence it will see; a table of positions gets the rows for it.
        digits: of the longest number it will see; `tokens` if not given.
        head_width: dimensions of a head; width / heads if not given.

    A constructor is given those of `width, heads, head_width, layers, tokens, digits, highest` (the largest id its
    scheme gives), `resolution` (ids per position of its scheme) and `levels` (ids per token of its scheme) that it
    names, and the settings in the text. Of what is given, only `levels` is a setting too.

    Raises:
        UsageError: the text cannot be read, its parts do not go together, or it would take more than 4 GiB.

    >>> encoding("learned@coupled", width=64, heads=4, layers=1, digits=20).parts
    ModuleList(
      (0): Learned(highest=21)
    )
    """
    if not isinstance(text, str):
        raise UsageError(f"an encoding is named by a text such as 'rope' or 't5@coupled', got {text!r}")
    digits = tokens if digits is None else digits
    facts = {"width": width, "heads": heads, "layers": layers, "tokens": tokens, "digits": digits}
    facts |= {} if head_width is None else {"head_width": head_width}
    for name, value in facts.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < MANY:
            raise UsageError(f"{name} is a whole number from 1 on, got {value!r}")
    if head_width is None:
        if width % heads:
            raise UsageError(f"a model's width is a multiple of its heads: got width {width} and {heads} heads")
        facts["head_width"] = width // heads
    parts = [_part(part, facts) for part in parse(text)]
    with errors_about(text):
        composed = Composed(parts)
        composed.check_reach(tokens, digits)
        return composed


def build_scheme(named: Named, facts: Mapping[str, int]) -> Scheme:
    """The position scheme of this name."""
    scheme: Scheme = construct(SCHEMES.load(named.name), named, "position scheme", facts, SHAPE)
    needed = (
        "levels",
        "structure_aware",
        "ordered",
        "cyclic",
        "resolution",
        "highest",
        "check",
        "full",
        "start",
        "step",
    )
    lacking = [name for name in needed if not hasattr(scheme, name)]
    if lacking:
        raise UsageError(
            f"position scheme '{named.name}' is a {type(scheme).__name__}, which lacks {', '.join(lacking)}. "
            f"It needs what arith.encodings.positions.Scheme has"
        )
    return scheme


def _part(part: PartSpec, facts: Mapping[str, int]) -> Part:
    scheme = build_scheme(part.scheme, facts)
    with errors_about(part):
        highest = scheme.highest(facts["tokens"], facts["digits"])
    own = dict(facts) | {"highest": highest, "levels": scheme.levels, "resolution": scheme.resolution}
    make = ENCODINGS.load(part.encoding.name)

    def build() -> Encoding:
        built = construct(make, part.encoding, "encoding", own, GIVEN)
        if not isinstance(built, Encoding):
            raise UsageError(
                f"encoding '{part.encoding.name}' is a {type(built).__name__}. Derive its class from "
                f"arith.encodings.base.Encoding"
            )
        return built

    shapes = _shapes(build, part)
    if shapes is not None:
        with errors_about(part):
            Part(shapes, scheme)
        _check_size(shapes, part, highest)
        if not shapes.takes_ids and part.scheme != SEQUENTIAL:
            name = part.encoding.name
            raise UsageError(f"'{part}': {name} looks at no ids and cannot be put on a scheme. Write {name} alone")
    built = build()
    with errors_about(part):
        return Part(built, scheme)


def _shapes(build: Callable[[], Encoding], part: PartSpec) -> Encoding | None:
    """The encoding without its numbers; None if it cannot be made without, as one of a user's own may be."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, OverflowError, TypeError) as error:
        if isinstance(error, NotImplementedError) or "meta" in str(error):
            return None
        if "overflow" in str(error) or "too large" in str(error):
            raise UsageError(f"'{part}' has tensors that no memory holds: {error}. Take smaller settings") from error
        raise


def _check_size(encoding: nn.Module, part: PartSpec, highest: int) -> None:
    """Raise if its parameters and buffers would take too much memory, before they are made."""
    tensors = {**dict(encoding.named_parameters()), **dict(encoding.named_buffers())}
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total <= LARGEST:
        return
    name, largest = max(tensors.items(), key=lambda own: own[1].nbytes)
    settings = [f"{part.encoding.name}:{key}" for key, _ in part.encoding.settings]
    settings += [f"{part.scheme.name}:{key}" for key, _ in part.scheme.settings]
    lower = f", or lower {', '.join(settings)}" if settings else ""
    shape = " x ".join(map(str, largest.shape))
    raise UsageError(
        f"'{part}' would take {total / 2**30:,.1f} GiB of memory, most of it for {name}, {shape}; "
        f"{LARGEST // 2**30} GiB are allowed. Its ids go up to {highest}: test shorter sequences{lower}"
    )
