"""Reads the fields of a configuration from TOML, JSON and the command line."""

import dataclasses
import itertools
import typing
from collections.abc import Mapping
from typing import Any

from arith.config.presets import PRESETS
from arith.config.ranges import check_ranges
from arith.errors import UsageError, did_you_mean
from arith.fields import LARGEST, WORDS, read_field

Config = typing.TypeVar("Config")
# Beyond any test: with a narrow window, operands of a million digits take a minute or two a problem.
MOST_DIGITS = 1_000_000
MOST_PAIRS = 10_000
_NAMES = {kind: kind.__name__ for kind in WORDS}  # messages name types as Python does


def merge_tables(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested tables; where both have a value, the second's replaces the first's.

    >>> merge_tables({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    # Tables merge and lists are replaced: a recipe's list of digits is one choice, not the start of a longer one.
    result = dict(base)
    for key, value in over.items():
        known = result.get(key)
        result[key] = merge_tables(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return result


def nest_setting(setting: str, value: Any) -> dict[str, Any]:
    """Turn a dotted setting into nested tables.

    >>> nest_setting("model.layers", 6)
    {'model': {'layers': 6}}
    """
    # From the inside out.
    for name in reversed(setting.split(".")):
        value = {name: value}
    found: dict[str, Any] = value
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Describe each value that differs between two nested tables, one line each, by its dotted name.

    >>> differences({"model": {"layers": 1, "width": 64}}, {"model": {"layers": 2, "width": 64}})
    ['model.layers: 1 before, 2 now']
    """
    found: list[str] = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}: {a} before, {b} now")
    return found


def digit_range(text: str) -> tuple[int, int]:
    """Read a range of digit lengths; one number is a range of its own.

    >>> digit_range("1-4"), digit_range("5")
    ((1, 4), (5, 5))
    """
    low, dash, high = text.partition("-")
    if not dash:
        high = low
    if not low.strip().isdecimal() or not high.strip().isdecimal():
        raise UsageError(f"digits are a range such as 1-4, got '{text}'")
    # By their texts first: Python reads no number of thousands of digits, and a typing error must not fill the memory
    # with a list of a billion lengths.
    if max(len(low), len(high)) > 9 or int(high) > MOST_DIGITS:
        raise UsageError(f"operands have {MOST_DIGITS:,} digits at most, got '{text:.60}'")
    found = int(low), int(high)
    if not 1 <= found[0] <= found[1]:
        raise UsageError(f"operands have 1 digit or more, and a range rises: got '{text}'")
    return found


def grid_lengths(text: str) -> list[tuple[int, int]]:
    """Read pairs of operand lengths: both from one list, or the second operand's from a list of its own.

    >>> grid_lengths("2x1-3")
    [(2, 1), (2, 2), (2, 3)]
    """
    # "1-3" means "1-3x1-3".
    first, times, second = text.partition("x")
    if not first.strip() or (times and not second.strip()):
        raise UsageError(f"a grid is of operand lengths such as 1-15 or 1-15x1-3, got '{text}'")
    lengths = digit_list(first), digit_list(second if times else first)
    if len(lengths[0]) * len(lengths[1]) > MOST_PAIRS:
        raise UsageError(f"a grid has {MOST_PAIRS:,} pairs of lengths at most, got '{text}'")
    return list(itertools.product(*lengths))


def digit_list(text: str) -> tuple[int, ...]:
    """Read a list of digit lengths and ranges; duplicates count once.

    >>> digit_list("1-4,10,20")
    (1, 2, 3, 4, 10, 20)
    """
    ranges = [digit_range(part) for part in text.split(",")]
    # A dict keeps the order that was written, which is that of the test sets; a set would not.
    return tuple(dict.fromkeys(digits for low, high in ranges for digits in range(low, high + 1)))


def expand_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace `model.preset` by the settings that it stands for."""
    model = values.get("model")
    if not isinstance(model, Mapping) or "preset" not in model:
        return dict(values)
    name = model["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        raise UsageError(
            f"no model preset is called '{name}'.{did_you_mean(str(name), PRESETS)} Presets: {', '.join(PRESETS)}"
        )
    # A preset is where values start from, so settings beside it win; the resolved configuration names no preset.
    rest = {key: value for key, value in model.items() if key != "preset"}
    return {**values, "model": {**PRESETS[name], **rest}}


def _build(cls: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """Read a table as a dataclass; `where` is the dotted name before its fields, for messages."""
    types = typing.get_type_hints(cls)  # dataclasses.fields has annotations as written, perhaps as texts
    # Refused, not ignored: a misspelt setting would train for hours with the default in its place.
    unknown = [key for key in values if key not in types]
    if unknown:
        raise UsageError(
            f"no setting is called '{where}{unknown[0]}'.{did_you_mean(unknown[0], types)} "
            f"Settings{' of ' + where.rstrip('.') if where else ''}: {', '.join(types)}"
        )
    fields = {key: read_field(value, types[key], f"{where}{key}", _prepare, _NAMES) for key, value in values.items()}
    return cls(**fields)


def read_settings(cls: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """Read a table of settings as a dataclass, such as a study, and check the ranges of its numbers.

    Args:
        cls: the dataclass; ranges stand in its annotations, see `arith.config.ranges`.
        values: the table.
        where: what the settings are of, for messages.

    Raises:
        UsageError: a setting is unknown, of another type, or out of range.

    >>> from dataclasses import dataclass
    >>> from arith.config.ranges import Count
    >>> @dataclass
    ... class Walk:
    ...     steps: Count = 10
    >>> read_settings(Walk, {"steps": 20}, "study 'walk'")
    Walk(steps=20)
    >>> read_settings(Walk, {"steps": 0}, "study 'walk'")
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: study 'walk': steps is 1 or more, got 0
    """
    try:
        found = _build(cls, values, "")
        check_ranges(found)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    return found


def _number(text: Any) -> Any:
    """The number that a text writes; anything else as it is."""
    try:
        return float(text) if isinstance(text, str) else text
    except ValueError:
        return text


def number_or_range(value: Any, name: str) -> int | tuple[int, int]:
    """Read a number, or a range of numbers; a range of one number is that number.

    >>> number_or_range("12-16", "model.loops"), number_or_range(12, "model.loops")
    ((12, 16), 12)
    >>> number_or_range("16-12", "model.loops")
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: model.loops is a number, or a range that rises such as 12-16: got '16-12'
    """
    ends = value.split("-") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    # As texts: JSON and TOML give numbers, and what is true or 1.5 is none here. Python reads none of many digits.
    texts = [str(end).strip() for end in ends]
    if 1 <= len(texts) <= 2 and all(text.isdecimal() and len(text) <= 18 for text in texts):
        low, high = int(texts[0]), int(texts[-1])
        if low <= high:
            return low if low == high else (low, high)
    raise UsageError(f"{name} is a number, or a range that rises such as 12-16: got {value!r:.60}")


def _prepare(value: Any, kind: Any, name: str) -> Any:
    """Convert what configurations allow beside plain values: tables for parts, texts for lists, ints for floats."""
    arguments = typing.get_args(kind)
    if arguments == (int, tuple[int, int]):
        return number_or_range(value, name)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise UsageError(f"{name} is a table of settings, got {value!r}")
        return _build(kind, value, f"{name}.")
    if typing.get_origin(kind) is tuple:
        if isinstance(value, int) and arguments == (int, int):
            value = str(value)  # digits = 5 means digits = "5-5"
        if isinstance(value, str) and arguments[0] is int:
            return digit_range(value) if arguments == (int, int) else digit_list(value)
        # --set suites=random,chain and suites = ["random", "chain"] are the same.
        value = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
        if arguments[0] is float:
            value = [_number(entry) for entry in value]  # training.betas=0.9,0.95
        if isinstance(value, list | tuple) and Ellipsis not in arguments and len(value) != len(arguments):
            raise UsageError(f"{name} has {len(arguments)} entries, got {value!r}")
    # run.json is compared with a later configuration, so 1 and 1.0 must be saved alike.
    return float(value) if kind is float and type(value) is int and abs(value) < LARGEST else value
