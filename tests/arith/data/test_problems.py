"""Which problems a split has: what is of training alone, how a schedule moves, and settings that contradict."""

import numpy as np
import pytest

from arith.config.schema import DataConfig
from arith.data.problems import sampler, suite_problems, training_problems
from arith.errors import UsageError
from arith.tasks.covering import Covering
from arith.tasks.samplers import Scheduled, Uniform
from arith.tasks.stream import Split

OTHERS: tuple[Split, ...] = ("validation", "test")


def lengths_drawn(data: DataConfig, split: Split, start: int, count: int) -> np.ndarray:
    """The digits of both operands of some samples."""
    return training_problems("addition", data, split).sources[0].lengths(start, count)


@pytest.mark.parametrize("setting", [{"swap": True}, {"renumber": True}, {"samples": 50}])
def test_sets_that_repeat_are_of_training_alone(setting: dict[str, object]) -> None:
    data = DataConfig((3, 6), **{"samples": 100, **setting})
    train = training_problems("addition", data, "train")
    assert {name: getattr(train, name) for name in setting} == setting
    for split in OTHERS:
        other = training_problems("addition", data, split)
        assert (other.samples, other.swap, other.renumber) == (None, False, False)
        assert len(np.unique(other.hashes(0, 400))) > 390, "new problems without end"


def test_a_schedule_moves_training_and_nothing_else() -> None:
    data = DataConfig((1, 9), schedule=8192, first_digits=(1, 2))
    assert isinstance(sampler(data), Scheduled)
    assert sampler(data, training=False) == Uniform(1, 9)
    assert lengths_drawn(data, "train", 0, 200).max() == 2
    assert lengths_drawn(data, "train", 8192, 200).max() == 9
    for split in OTHERS:
        assert lengths_drawn(data, split, 0, 200).max() == 9


def test_configurations_are_covered_in_training_alone() -> None:
    data = DataConfig((2, 5), uniform="covering")
    assert sampler(data) == Covering(2, 5)
    assert sampler(data, training=False) == Uniform(2, 5)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"first_digits": (1, 2)}, "set data.schedule too"),
        ({"first_carry_mix": 0.5}, "set data.schedule too"),
        ({"schedule": 2048}, "set data.first_digits or data.first_carry_mix"),
        (
            {"schedule": 2048, "first_digits": (1, 2), "samples": 2048},
            "comes again before a schedule of 2048 has ended",
        ),
        ({"schedule": 2048, "first_digits": (1, 2), "uniform": "values"}, "for operands drawn uniformly over lengths"),
        ({"uniform": "values", "carry_mix": 0.5}, "for operands drawn uniformly over lengths"),
        ({"uniform": "covering", "carry_mix": 0.5}, "for operands drawn uniformly over lengths"),
    ],
)
def test_settings_that_contradict_are_refused(setting: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        training_problems("addition", DataConfig((1, 4), **setting), "train")


def test_a_set_longer_than_the_schedule_is_drawn() -> None:
    data = DataConfig((1, 4), schedule=2048, first_digits=(1, 2), samples=2049)
    assert training_problems("addition", data, "train").samples == 2049


def test_suites_take_a_length_and_a_seed() -> None:
    assert suite_problems("addition", "chain", DataConfig((5, 5), seed=3)).split == "test"
    with pytest.raises(UsageError, match="a suite is of one length, such as --digits 5; got 3-5"):
        suite_problems("addition", "random", DataConfig((3, 5)))
    for setting in ({"uniform": "values"}, {"carry_mix": 0.5}, {"mix": ("20% addition 1-3",)}, {"samples": 9}):
        with pytest.raises(UsageError, match="a suite is drawn in its own way"):
            suite_problems("addition", "random", DataConfig((5, 5), **setting))
