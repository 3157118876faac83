"""How torch's idle threads wait, and what a process knows of others on its cores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arith.experiment.metrics import Log
from arith.process import cores
from arith.process.cores import CoreWait, yield_idle_cores


@pytest.mark.parametrize(
    ("said", "spins"), [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_idle_threads_give_way_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], spins: str | None
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    yield_idle_cores()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_the_command_says_so_before_torch_is_there() -> None:
    """The library reads it once, as it is loaded."""
    program = (
        "import os, sys; import arith.cli as cli; cli.cli = lambda **given: None; cli.main(); "
        "assert os.environ['GOMP_SPINCOUNT'] and 'torch' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_the_progress_line_says_when_the_machine_is_shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = tmp_path / "schedstat"
    monkeypatch.setattr(cores, "SCHEDSTAT", read)
    read.write_text("1000 500 3\n")
    log = Log(tmp_path, [], tensorboard=False)
    log.write({"step": 1, "seconds": 1.0, "loss": 2.0})
    read.write_text("1900 600 9\n")
    assert log.note() == "loss 2.0000"
    read.write_text("2000 1500 9\n")
    assert log.note() == "loss 2.0000, other processes hold the cores 50% of the time"


def test_a_system_that_does_not_count_is_taken_for_quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cores, "SCHEDSTAT", tmp_path / "none")
    assert CoreWait().share() == 0
