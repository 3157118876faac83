"""Builds encodings from their names."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from arith.catalogue.entries import ENCODINGS, SCHEMES
from arith.catalogue.settings import construct, errors_about
from arith.catalogue.spec import SEQUENTIAL, Named, PartSpec, parse
from arith.encodings.base import Encoding
from arith.encodings.compose import Composed, Part
from arith.encodings.in_layers import InLayers
from arith.encodings.positions import Scheme
from arith.errors import UsageError

# Arguments that constructors get if they have a parameter of that name, and that no setting can replace: the model, the
# data and the scheme decide them.
SHAPE = ("width", "heads", "head_width", "layers", "tokens", "digits")  # schemes
GIVEN = (*SHAPE, "highest", "resolution")  # encodings
LARGEST = 4 * 2**30  # bytes of an encoding's tensors; beyond that it is a typing error, not a table of positions
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
    """Build the encoding that a text names, for a model of this shape.

    Each constructor gets the settings in the text, and of `width, heads, head_width, layers, tokens, digits, highest`
    (the largest id of its scheme), `resolution` (the scheme's ids per position) and `levels` (its ids per token) those
    that are among its parameters. A setting can replace `levels` only.

    Args:
        text: the encoding's name, such as "t5:buckets=64+learned@coupled"; see `arith.catalogue.spec`.
        width, heads, layers: the shape of the model.
        tokens: the length of the longest sequence, for which tables of positions and of distances get rows. Longer ones
            are refused where the encoding has a limit, as learned, alibi, kerple and fire have; rope and t5 have none.
        digits: the length of the longest number; `tokens` if None. Whether ids of longer ones are too large is not
            seen from shapes: `Composed.beyond(ids)` says it.
        head_width: the dimensions of a head; width / heads if None.

    Raises:
        UsageError: the text cannot be read, its parts do not fit together, or its tensors would exceed 4 GiB.

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
    # What concerns the composition as a whole, such as two parts that both rotate, is checked where it is composed.
    with errors_about(text):
        composed = Composed(parts)
        composed.check_reach(tokens, digits)
        return composed


def build_scheme(named: Named, facts: Mapping[str, int]) -> Scheme:
    """Build a position scheme from its name and settings.

    Args:
        named: the scheme's name, with settings.
        facts: the arguments in SHAPE, by name.

    Raises:
        UsageError: there is no such scheme, a setting is wrong, or a user's scheme lacks a part of the protocol.
    """
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
    # A scheme of a user's own need not derive from anything: the protocol is checked here, by what it has.
    lacking = [name for name in needed if not hasattr(scheme, name)]
    if lacking:
        raise UsageError(
            f"position scheme '{named.name}' is a {type(scheme).__name__}, which lacks {', '.join(lacking)}. "
            f"It needs what arith.encodings.positions.Scheme has"
        )
    return scheme


def _part(part: PartSpec, facts: Mapping[str, int]) -> Part:
    make = ENCODINGS.load(part.encoding.name)
    # The scheme first: it knows the highest id, which is the number of rows that a table needs.
    scheme = build_scheme(part.scheme, facts)
    with errors_about(part):
        highest = scheme.highest(facts["tokens"], facts["digits"])
    facts = dict(facts) | {"highest": highest, "levels": scheme.levels, "resolution": scheme.resolution}
    if part.layers is not None:
        if part.layers[-1] >= facts["layers"]:
            raise UsageError(f"'{part}': the model's layers are 0 to {facts['layers'] - 1}, got {part.layers[-1]}")
        facts["layers"] = len(part.layers)

    def build() -> Encoding:
        built = construct(make, part.encoding, "encoding", facts, GIVEN)
        if not isinstance(built, Encoding):
            raise UsageError(
                f"encoding '{part.encoding.name}' is a {type(built).__name__}. Derive its class from "
                f"arith.encodings.base.Encoding"
            )
        with errors_about(part):
            return built if part.layers is None else InLayers(built, part.layers)

    # Built twice: first without memory, so that every refusal comes before gigabytes are allocated and random numbers
    # are drawn.
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
    """Build the encoding on the meta device: shapes without values; None if it cannot be built there."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, OverflowError, TypeError) as error:
        # A user's encoding may read values when it is built, which the meta device refuses. Then sizes go unchecked.
        if isinstance(error, NotImplementedError) or "meta" in str(error):
            return None
        if any(sign in str(error) for sign in ("overflow", "too large", "failed to unpack")):
            raise UsageError(f"'{part}' has tensors that no memory holds: {error}. Take smaller settings") from error
        raise


def _check_size(encoding: nn.Module, part: PartSpec, highest: int) -> None:
    """Refuse an encoding whose parameters and buffers would take too much memory."""
    tensors = {**dict(encoding.named_parameters()), **dict(encoding.named_buffers())}
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total <= LARGEST:
        return
    name, largest = max(tensors.items(), key=lambda item: item[1].nbytes)
    settings = [f"{part.encoding.name}:{key}" for key, _ in part.encoding.settings]
    settings += [f"{part.scheme.name}:{key}" for key, _ in part.scheme.settings]
    lower = f", or lower {', '.join(settings)}" if settings else ""
    shape = " x ".join(map(str, largest.shape))
    raise UsageError(
        f"'{part}' would take {total / 2**30:,.1f} GiB of memory, most of it for {name}, {shape}; "
        f"{LARGEST // 2**30} GiB are allowed. Its ids go up to {highest}: test shorter sequences{lower}"
    )
