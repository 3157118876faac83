"""Values as they are written, and differences between configurations."""

import dataclasses
import math

import pytest

from arith.config.reading import differences, digit_list, digit_range, grid_lengths
from arith.config.schema import RunConfig
from arith.errors import UsageError


def test_lists_of_digits() -> None:
    assert digit_list("1-3,3,10") == (1, 2, 3, 10)
    assert digit_range("7") == (7, 7)


def test_differences_are_named() -> None:
    old, new = RunConfig(), RunConfig.of({"encoding": "rope", "training": {"steps": 5}})
    assert differences(dataclasses.asdict(old), dataclasses.asdict(new)) == [
        "encoding: coupled-window before, rope now",
        "training.steps: 800 before, 5 now",
    ]


def test_numbers_with_commas_between_are_a_list() -> None:
    assert RunConfig.of({"training": {"betas": "0.9,0.95"}}).training.betas == (0.9, 0.95)
    with pytest.raises(UsageError, match=r"training\.betas is float, got 'x'"):
        RunConfig.of({"training": {"betas": "0.9,x"}})


@pytest.mark.parametrize("text", ["1-", "-3", "", "4-1", "0-2", "1,,2", "x"])
def test_ranges_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="got"):
        digit_list(text)


@pytest.mark.parametrize("text", ["x", "3x", "x3", ""])
def test_half_a_grid_is_refused_as_it_was_written(text: str) -> None:
    with pytest.raises(UsageError, match=f"1-15 or 1-15x1-3, got '{text}'"):
        grid_lengths(text)


@pytest.mark.parametrize("text", ["1" * 5000, "1-9999999999", "1-2,1000001"])
def test_lengths_end_long_before_memory_does(text: str) -> None:
    with pytest.raises(UsageError, match="1,000,000 digits at most"):
        digit_list(text)
    with pytest.raises(UsageError, match="10,000 pairs of lengths at most"):
        grid_lengths("1-99999x1-99999")


@pytest.mark.parametrize("preset", [math.inf, 3, ["nano"], {"a": 1}, None])
def test_a_preset_that_is_no_text_is_refused(preset: object) -> None:
    with pytest.raises(UsageError, match="no model preset is called"):
        RunConfig.of({"model": {"preset": preset}})


@pytest.mark.parametrize(("table", "name"), [("training", "clip"), ("training", "steps"), ("model", "width")])
def test_whole_numbers_end_at_64_bits(table: str, name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name} is .* of 64 bits at most"):
        RunConfig.of({table: {name: 10**400}})
