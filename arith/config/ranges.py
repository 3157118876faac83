"""The range of each number in a configuration: it stands in the field's annotation, and is checked here."""

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import Annotated, Any

from arith.errors import UsageError


@dataclass(frozen=True)
class Range:
    """An interval of numbers; NaN is in none.

    Args:
        low: the lowest number.
        high: the highest.
        above: whether `low` itself is outside.
        below: whether `high` itself is outside.
        infinite: whether infinity is inside.

    >>> str(Range(0, above=True)), str(Range(0, 1)), str(Range(1)), 0.5 in Range(0, 1)
    ('above 0', 'from 0 to 1', '1 or more', True)
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False
    infinite: bool = False

    def __contains__(self, value: float) -> bool:
        if math.isinf(value):
            return self.infinite and value > 0
        return (self.low < value if self.above else self.low <= value) and (
            value < self.high if self.below else value <= self.high
        )

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"above {self.low}" if self.above else f"{self.low} or more"
        if not self.above and not self.below:
            return f"from {self.low} to {self.high}"
        low = f"above {self.low}" if self.above else f"{self.low} or more"
        return f"{low} and {'below' if self.below else 'at most'} {self.high}"


Count = Annotated[int, Range(1)]
Amount = Annotated[int, Range(0)]
Seed = Annotated[int, Range(0, 2**63 - 1)]
Share = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, above=True)]


def check_ranges(config: Any, prefix: str = "") -> None:
    """Refuse numbers outside the ranges that the fields' annotations name.

    Args:
        config: a configuration, or a part of one.
        prefix: what stands before the names of its fields in messages.

    Raises:
        UsageError: a number is outside its range, or is NaN.

    >>> from arith.config.schema import ModelConfig
    >>> check_ranges(ModelConfig(layers=0), "model.")
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: model.layers is 1 or more, got 0
    """
    for name, kind in typing.get_type_hints(type(config), include_extras=True).items():
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            check_ranges(value, f"{prefix}{name}.")
            continue
        for limits, numbers in _limits(kind, value):
            for number in numbers:
                if number not in limits:
                    raise UsageError(f"{prefix}{name} is {limits}, got {value}")


def _limits(kind: Any, value: Any) -> list[tuple[Range, list[float]]]:
    """The ranges in an annotation, each with the numbers of a value that they hold for."""
    if value is None or isinstance(value, str):  # a word in place of a number
        return []
    if typing.get_origin(kind) is Annotated:
        return [(one, [value]) for one in kind.__metadata__ if isinstance(one, Range)]
    # Of `Count | None`, `tuple[Count, Count]` and `tuple[Count, ...]` the ranges stand one level below.
    inner = [found for argument in typing.get_args(kind) for found in _limits(argument, 0)]
    return [(limits, list(value) if isinstance(value, tuple) else [value]) for limits, _ in inner]
