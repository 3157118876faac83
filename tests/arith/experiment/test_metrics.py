"""The file of metrics."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.experiment.metrics import Mirror
from arith.experiment.run import Run
from arith.training.loop import train
from tests.arith.short import short

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


def test_a_cut_line_of_metrics_is_dropped(tmp_path: Path) -> None:
    config = short()
    run = Run.begin(tmp_path / "run", config)
    train(run, Experiment.of(config))
    rows = run.read_metrics()
    with run.metrics.open("a") as opened:
        opened.write('{"step": 13, "lo')
    assert run.read_metrics() == rows


def experiment_with(**values: Any) -> Experiment:
    base = {
        "encoding": "t5",
        "model": {"width": 32, "hidden": 32, "layers": 2},
        "training": {"batch": 16, "steps": 12, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3},
    }
    return Experiment.of(RunConfig.of(base).with_values(values))


def test_rates_count_tokens_without_padding_and_with_it(tmp_path: Path) -> None:
    experiment = experiment_with()
    run = Run.begin(tmp_path / "run", experiment.config)
    train(run, experiment)
    rows = [row for row in run.read_metrics() if "loss" in row]
    for row in rows:
        assert 0 < row["tokens_per_second"] < row["padded_tokens_per_second"]


def test_tensorboard_gets_a_curve_for_each_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None: ...

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, float(value), step))

        def flush(self) -> None: ...

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    Mirror(tmp_path).write({"step": 3, "loss": 0.5, "gradient_norms": {"embedding": 1.0, "head": 2.0}})
    assert written == [("loss", 0.5, 3), ("gradient_norms/embedding", 1.0, 3), ("gradient_norms/head", 2.0, 3)]


def test_tensorboard_that_is_missing_or_fails_stops_nothing(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    trained = arith("train", *TINY, "--tensorboard", "--out", "run")
    assert trained.exit_code == 0
    assert trained.stderr.count("TensorBoard gets no metrics") == 1
    assert (tmp_path / "run" / "metrics.jsonl").stat().st_size
