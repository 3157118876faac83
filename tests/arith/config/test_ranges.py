"""Every number of a configuration has a range, and what lies outside is refused by its name."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from typing import Annotated, Any

import pytest

from arith.config.ranges import Range, check_ranges
from arith.config.schema import RunConfig
from arith.errors import UsageError


def numbers(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted name and the annotation of every field that holds numbers."""
    for name, kind in typing.get_type_hints(type(config), include_extras=True).items():
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{prefix}{name}.")
        elif {int, float} & set(scalars(kind)):
            yield f"{prefix}{name}", kind


def scalars(kind: Any) -> Iterator[type]:
    if typing.get_origin(kind) is Annotated:
        yield from scalars(kind.__origin__)
    elif arguments := typing.get_args(kind):
        for argument in arguments:
            yield from scalars(argument)
    elif isinstance(kind, type):
        yield kind


def ranges(kind: Any) -> list[Range]:
    if typing.get_origin(kind) is Annotated:
        return [one for one in kind.__metadata__ if isinstance(one, Range)]
    return [found for argument in typing.get_args(kind) for found in ranges(argument)]


NUMBERS = dict(numbers(RunConfig()))


def with_number(name: str, number: float) -> RunConfig:
    """The default configuration with a number in one field, in each of its places where it has several."""
    part, field = name.split(".")
    value: Any = number
    if "tuple" in str(NUMBERS[name]):
        value = (1 if "int" in str(NUMBERS[name]) else 0.5, number)
    config = RunConfig()
    return dataclasses.replace(config, **{part: dataclasses.replace(getattr(config, part), **{field: value})})


def test_the_walk_finds_the_fields() -> None:
    assert {"training.microbatches", "model.key_heads", "data.first_digits", "evaluation.digits"} <= set(NUMBERS)
    assert len(NUMBERS) >= 37


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_range_and_nothing_outside_passes(name: str) -> None:
    (limits,) = set(ranges(NUMBERS[name]))
    outside = [limits.low - 1, math.nan, -math.inf]
    outside += [limits.low] if limits.above else []
    outside += [math.inf] if not limits.infinite else []
    outside += [] if limits.high == math.inf else [limits.high] if limits.below else [limits.high * 2]
    for number in outside:
        with pytest.raises(UsageError, match=rf"{name} is {limits}, got"):
            check_ranges(with_number(name, number))
    for number in ([] if limits.above else [limits.low]) + [limits.low + 0.5]:
        check_ranges(with_number(name, number))
