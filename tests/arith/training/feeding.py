"""Short trainings and their feeds, for tests of the data of a step."""

from typing import Any

import torch

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.training.distributed import World
from arith.training.feed import DrawnLoops, Feed

CPU = torch.device("cpu")
FORMATS = ["padded-reversed", "reversed+hints", "plain+spaces"]  # the last with tokens that no model can know


def experiment_with(**values: Any) -> Experiment:
    base = {
        "encoding": "t5",
        "model": {"width": 32, "hidden": 32, "layers": 2},
        "training": {"batch": 16, "steps": 12, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3},
    }
    return Experiment.of(RunConfig.of(base).with_values(values))


def fed(experiment: Experiment, world: World | None = None, static: bool = False) -> Feed:
    config, drawn = experiment.config.training, DrawnLoops.of(experiment.config)
    return Feed(experiment.training_data(), experiment.encoding(), config, CPU, world or World(), static, drawn)
