"""What is measured of training steps, and the command that shows it. Times themselves are not tested."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.performance.estimate import estimate
from arith.performance.throughput import Laps, Trial, measure_throughput

SMALL = {
    "data": {"digits": "1-3"},
    "model": {"width": 16, "hidden": 16, "heads": 2},
    "training": {"batch": 8, "device": "cpu"},
}


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment.of(RunConfig.of(SMALL))


def test_counts_are_those_of_the_steps_that_were_timed(experiment: Experiment) -> None:
    found = measure_throughput(experiment, steps=4, parts=True)
    assert len(found.seconds) == 4
    data, config = experiment.training_data(), experiment.config.training
    batches = [data.batch(step * config.batch, config.batch, torch.device("cpu")) for step in range(4)]
    assert found.tokens == sum(int((batch.length - 1).sum()) for batch in batches) / 4
    assert found.padded_tokens == sum(batch.tokens[:, 1:].numel() for batch in batches) / 4
    assert found.tokens < found.padded_tokens
    trial = Trial.of(experiment)
    with FlopCounterMode(display=False) as counted:
        trial.seconds(4)
    assert found.flops == counted.get_total_flops() / 4
    assert set(found.parts) == {"batch", "forward", "backward", "clip", "optimiser"}


@pytest.mark.parametrize(
    ("training", "trained"),
    [({}, 16), ({"optimizer": "sgd"}, 12), ({"optimizer": "sgd", "momentum": 0.0}, 8)],
    ids=["adamw", "sgd", "plain"],
)
@pytest.mark.parametrize("freeze", ["", "embedding", "blocks,head"])
def test_measured_bytes_are_those_that_a_dry_run_shows(training: dict[str, object], trained: int, freeze: str) -> None:
    parts = freeze.split(",") if freeze else []
    changes = {"encoding": "learned", "training": {**training, "freeze": parts}}
    experiment = Experiment.of(RunConfig.of(SMALL).with_values(changes))
    trial = Trial.of(experiment)
    trial.run(0)
    model = trial.model
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert (frozen > 0) == bool(freeze)
    shown = estimate(experiment)
    assert (shown["frozen_parameters"], shown["bytes_per_trained_parameter"]) == (frozen, trained)
    assert shown["state_bytes"] == trained * (model.parameter_count() - frozen) + 4 * frozen
    counters = 4 * len(trial.optimizer.state) if not training else 0  # AdamW counts steps, for each tensor
    assert trial.state_bytes == shown["state_bytes"] + counters


def test_trained_steps_change_the_model_as_training_does(experiment: Experiment) -> None:
    trial, untouched = Trial.of(experiment), experiment.model()
    trial.part_seconds(1)
    timed = Trial.of(experiment)
    timed.seconds(1)
    for own, other, before in zip(
        trial.model.parameters(), timed.model.parameters(), untouched.parameters(), strict=True
    ):
        assert torch.allclose(own, other, atol=1e-6)
        assert not torch.equal(own, before)


def test_laps_are_named_by_what_ends_them() -> None:
    laps = Laps(torch.device("cpu"))
    for name in ("begin", "first", "second"):
        laps.mark(name)
    assert [name for name, _ in laps.seconds()] == ["first", "second"]
