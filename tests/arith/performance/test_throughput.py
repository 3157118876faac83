"""What is measured of training steps, and the command that shows it. Times themselves are not tested."""

import dataclasses
import json
from collections.abc import Callable

import pytest
import torch
from click.testing import Result
from torch.utils.flop_counter import FlopCounterMode

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.performance.throughput import Laps, Throughput, Trial, measure_throughput
from arith.performance.throughput_report import as_json, comparison, describe

Arith = Callable[..., Result]

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


def measured(**changes: object) -> Throughput:
    usual = Throughput(
        device="NVIDIA H100 80GB HBM3",
        precision="bfloat16",
        compiled=False,
        parameters=10**6,
        rows=10,
        seconds=(1.0, 2.0, 6.0),
        data_seconds=0.5,
        waits_for_data=False,
        tokens=600.0,
        padded_tokens=800.0,
        flops=5e9,
        palm=6 * 10**6,
        peak_bytes=2**20,
    )
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def test_padding_and_data_count_as_they_should() -> None:
    gpu, cpu = measured(), measured(waits_for_data=True)
    assert (gpu.step_seconds, cpu.step_seconds) == (2.0, 2.5)
    assert (cpu.samples_per_second, cpu.tokens_per_second) == (4.0, 240.0)
    share, _ = gpu.mfu
    assert share == pytest.approx(6e6 * 600 / 2 / 989.4e12)
    assert as_json(gpu)["mfu"] == share
    assert "MFU" in describe(gpu)
    assert "6 N + 12 L w n" in describe(gpu)


def test_mfu_is_not_told_of_an_unknown_device() -> None:
    unknown = measured(device="2 CPU cores")
    assert unknown.mfu[0] is None
    assert as_json(unknown)["mfu"] is None
    assert "not told: the peak of 2 CPU cores is not known" in describe(unknown)


def test_comparison_is_of_whole_steps() -> None:
    assert comparison([measured(), measured(compiled=True, seconds=(0.5,))]) == "compiled is 4.00 times as fast"


def test_command(arith: Arith) -> None:
    small = ["--set", "model.width=16", "--set", "model.heads=2", "--batch", "4", "--timed", "2", "--device", "cpu"]
    shown = arith("bench", "train", "addition", "--encoding", "t5", *small)
    assert shown.exit_code == 0, shown.output
    assert "tokens/s" in shown.stdout
    assert "backward" in shown.stdout
    (row,) = json.loads(arith("bench", "train", "addition", "--encoding", "t5", *small, "--json").stdout)
    assert row["tokens_per_second"] > 0
    assert row["rows"] == 4
