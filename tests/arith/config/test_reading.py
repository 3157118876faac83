"""Values as they are written, and differences between configurations."""

import dataclasses

from arith.config.reading import differences, digit_list, digit_range
from arith.config.schema import RunConfig


def test_lists_of_digits() -> None:
    assert digit_list("1-3,3,10") == (1, 2, 3, 10)
    assert digit_range("7") == (7, 7)


def test_differences_are_named() -> None:
    old, new = RunConfig(), RunConfig.of({"encoding": "rope", "training": {"steps": 5}})
    assert differences(dataclasses.asdict(old), dataclasses.asdict(new)) == [
        "encoding: coupled-window before, rope now",
        "training.steps: 800 before, 5 now",
    ]
