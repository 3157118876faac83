"""A data set: what schemes are told of its split, and which formats and tasks may be mixed."""

import pytest
import torch

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment.experiment import Experiment


def experiment_with(**values: object) -> Experiment:
    return Experiment.of(RunConfig.of(values))


def test_ids_are_drawn_as_in_tests_for_every_split_but_training() -> None:
    experiment = experiment_with(encoding="learned@abacus:origin=random,span=50,tested=fixed", data={"digits": "3-4"})
    encoding = experiment.encoding()
    found = {
        name: int(data.batch(0, 64, torch.device("cpu")).placed_by(encoding)[0].max())
        for name, data in (
            ("training", experiment.training_data()),
            ("validation", experiment.validation_data()),
            ("test", experiment.test_data("random", 4)),
        )
    }
    assert found.pop("training") > 30, "of 50 places to begin"
    assert set(found.values()) == {5}, "the digits of the longest sum"


def test_formats_that_are_mixed_read_alike() -> None:
    mixed = experiment_with(
        format="plain", encoding="rope", data={"mix": ["20% addition 1-4 plain+scratchpad"]}
    ).training_data()
    assert [str(form) for form in mixed.formats] == ["plain", "plain+scratchpad"]
    with pytest.raises(UsageError, match=r"one order of digits.*got plain, reversed"):
        experiment_with(format="plain", encoding="rope", data={"mix": ["20% addition 1-4 reversed"]}).training_data()


def test_interleaved_tasks_have_as_many_operands_as_one_another() -> None:
    mix = ["20% addition:operands=3 1-4"]
    with pytest.raises(UsageError, match="have as many of them as one another"):
        experiment_with(format="interleaved", data={"mix": mix}).training_data()
