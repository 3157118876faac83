"""Training in several processes: devices, and what is refused."""

from pathlib import Path

import pytest
import torch

from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.training.loop import train
from tests.arith.short import saved_often


def test_several_gpus_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from arith.training.distributed import local_device

    monkeypatch.setenv("LOCAL_RANK", "3")
    assert local_device(torch.device("cuda")) == torch.device("cuda", 3)
    assert local_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert local_device(torch.device("cpu")) == torch.device("cpu")


def test_more_processes_than_samples_are_refused(tmp_path: Path) -> None:
    from arith.training.distributed import World

    config = saved_often(training={"batch": 1})
    with pytest.raises(UsageError, match="each of 2 processes takes 1 sample"):
        train(Run.begin(tmp_path / "run", config), Experiment.of(config), World(0, 2))
