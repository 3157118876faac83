"""Configurations of trainings that take a second, for tests of what a training leaves behind."""

from arith.config.schema import RunConfig

MODEL = {"width": 32, "hidden": 32}


def short(**changes: object) -> RunConfig:
    """Twelve steps, whose last checkpoint is followed by steps that a resumed run takes again."""
    training = {"steps": 12, "batch": 16, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3}
    return RunConfig.of({"training": training, "model": MODEL}).with_values(changes)


def saved_often(**changes: object) -> RunConfig:
    """Twelve steps, each logged, every fourth saved, and a small test."""
    training = {"steps": 12, "batch": 16, "checkpoint_every": 4, "evaluate_every": 6, "log_every": 1}
    evaluation = {"digits": [2], "samples": 10}
    return RunConfig.of({"training": training, "model": MODEL, "evaluation": evaluation}).with_values(changes)
