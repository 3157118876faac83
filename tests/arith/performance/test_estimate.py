"""The largest preset on a CPU: one training step and one evaluation, announced before."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from arith.cli import cli
from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.model.cost import training_flops
from arith.performance.estimate import PROBED_FLOPS, THREAD_GAIN, estimate, flops_per_second, flops_per_step, plan_table
from arith.results.schema import Results

STEP = [
    "train",
    "--recipe",
    "multiplication-paper:padded-reversed-15",
    "--steps",
    "1",
    "--batch",
    "4",
    "--test-digits",
    "15",
    "--samples",
    "8",
    "--set",
    "evaluation.grid=",
]


def test_dry_run_announces_memory_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(cli, [*STEP, "--dry-run", "--json"], catch_exceptions=False)
    found = json.loads(shown.stdout)["estimate"]
    assert 84e6 < found["parameters"] < 87e6
    assert found["tokens_per_step"] == 4 * (2 * 15 + 30 + 4)
    # Weights, gradients and two moments in float32.
    assert found["state_bytes"] == 16 * found["parameters"]
    # 6 N per token and little more for attention, at 63 tokens; what nobody asks the last layer for is saved.
    assert 0.95 < found["flops_per_step"] / (6 * found["parameters"] * found["tokens_per_step"]) < 1.05
    assert found["training_seconds"] > 0
    assert found["test_seconds"] > 0
    assert not list(tmp_path.iterdir())


def test_tables_that_are_not_trained_count_as_memory() -> None:
    told = {}
    for encoding in ("nope", "alibi", "t5:farthest=500"):
        asked = ["train", "addition", "--encoding", encoding, "--model", "nano", "--dry-run", "--json"]
        told[encoding] = json.loads(CliRunner().invoke(cli, asked, catch_exceptions=False).stdout)["estimate"]
    tables = {name: found["state_bytes"] - 16 * found["parameters"] for name, found in told.items()}
    assert tables["nope"] == 0
    assert tables["t5:farthest=500"] == 8 * (2 * 500 + 1)
    assert tables["alibi"] > 8 * 2 * told["alibi"]["longest_sequence_tokens"]


def test_the_time_of_a_step_is_that_of_its_layers_on_a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted on a CPU's clock for one thread: what else the machine does while it is estimated does not matter."""
    ticks = itertools.count(step=2)
    monkeypatch.setattr("arith.performance.estimate.time", SimpleNamespace(process_time=lambda: float(next(ticks))))
    monkeypatch.setitem(PROBED_FLOPS, "cpu", 1e6)
    threads = torch.get_num_threads()
    small = {"width": 16, "heads": 2, "hidden": 32}
    config = RunConfig.of({"model": {**small, "layers": 3}, "training": {"batch": 10**6, "device": "cpu"}})
    experiment, one = Experiment.of(config), Experiment.of(config.with_values({"model": {"layers": 1}}))
    rows = int(1e6 / (flops_per_step(one) / 10**6))
    assert 0 < rows < 100
    batch = one.training_data().batch(0, rows, torch.device("cpu"))
    tokens, shape = batch.tokens.shape[1] - 1, one.config.model
    flops = training_flops(shape, one.vocabulary_size, rows, tokens, batch.queries, batch.logits_per_row)
    gain = 1 + THREAD_GAIN * (threads - 1)
    assert flops_per_second(experiment) == pytest.approx(gain * flops / 2)
    assert torch.get_num_threads() == threads
    assert estimate(experiment)["seconds_per_step"] == pytest.approx(flops_per_step(experiment) * 2 / flops / gain)


@pytest.mark.slow
def test_one_step_and_one_evaluation_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--model", "100m", "--set", "training.evaluate_samples=8", "--device", "cpu", "--out", "run"]
    ran = CliRunner().invoke(cli, [*STEP, *small], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    cells = Results.load(tmp_path / "run" / "results.json").cells
    assert [(cell.suite, cell.digits, cell.n) for cell in cells] == [("random", 15, 8), ("unequal", 15, 8)]


def test_a_plan_has_a_line_for_each_curve_and_the_minutes_of_all() -> None:
    def run(encoding: str, seed: int) -> tuple[str, Experiment]:
        return encoding, Experiment.of(RunConfig.of({"encoding": encoding, "model": {"seed": seed}}))

    header, *lines, total = plan_table([run("rope", 0), run("rope", 1), run("nope", 0)]).splitlines()
    assert header.split()[:2] == ["curve", "seeds"]
    assert [line.split()[:2] for line in lines] == [["rope", "2"], ["nope", "1"]]
    minutes = [float(line.split()[-1]) for line in lines]
    assert float(total.split()[1]) == pytest.approx(2 * minutes[0] + minutes[1], rel=0.02)
