"""Processes, Slurm and Ray: what is lost and what goes on."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from arith.sweeps import grid_file as grid
from tests.arith.sweeps.grid import GRID, start_sweep, write_grid

POISON = """
import os, signal
from arith.catalogue import ENCODINGS
from arith.encodings.nope import NoPE

@ENCODINGS.register("test-poison")
class Poison(NoPE):
    \"\"\"Kills the process that trains it.\"\"\"

    def embed(self, x, positions):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_each_time_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "poison.py").write_text(POISON)
    text = 'imports = ["poison.py"]\n' + GRID.replace('["rope", "nope"]', '["test-poison", "nope", "rope"]')
    write_grid(tmp_path, text)
    _, errors = (process := start_sweep(tmp_path)).communicate(timeout=250)
    assert process.returncode == 1
    assert "2 of 6 runs failed" in errors
    assert errors.count("its process was killed") == 2
    assert len(list((tmp_path / "runs" / "sweep-grid").glob("*/results.json"))) == 4


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_its_run_goes_on(tmp_path: Path) -> None:
    write_grid(
        tmp_path, GRID.replace("steps = 6", "steps = 600\ncheckpoint_every = 20").replace("batch = 8", "batch = 32")
    )
    process = start_sweep(tmp_path)
    folder = tmp_path / "runs" / "sweep-grid"
    while not list(folder.glob("*/checkpoints/step-*")):
        time.sleep(0.1)
    locks = [path.read_text().split()[1] for path in folder.glob("*/lock")]
    os.kill(int(locks[0]), signal.SIGKILL)
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    for metrics in folder.glob("*/metrics.jsonl"):
        steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
        assert steps == sorted(set(steps)), "nothing ran twice into one folder"
        assert steps[-1] == 600


@pytest.mark.slow
def test_slurm_jobs_run_through_submitit(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    from arith.experiment.experiment import Experiment
    from arith.sweeps.executors import slurm
    from arith.sweeps.worker import Planned

    plan = grid.load(write_grid(tmp_path, GRID))
    runs = [Planned(job.label, Experiment.of(job.config), tmp_path / "out" / job.folder) for job in plan.jobs()[:2]]
    done = slurm([run.order(threads=1) for run in runs], 2, tmp_path / "logs", cluster="local")
    assert [outcome.state for _, outcome in done] == ["finished", "finished"]
    assert all(run.find_results() is not None for run in runs)
    assert "submitit" in type(runs[0].order(threads=1).checkpoint()).__module__


@pytest.mark.slow
def test_ray_survives_the_loss_of_a_worker(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    write_grid(
        tmp_path, GRID.replace("steps = 6", "steps = 400\ncheckpoint_every = 20").replace("batch = 8", "batch = 32")
    )
    process = start_sweep(tmp_path, "--executor", "ray")
    folder = tmp_path / "runs" / "sweep-grid"
    waited = time.monotonic()
    while not list(folder.glob("*/checkpoints/step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - waited < 120
        time.sleep(0.1)
    holder = next(path for path in folder.glob("*/lock") if path.read_text().startswith("process"))
    os.kill(int(holder.read_text().split()[1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    metrics = list(folder.glob("*/metrics.jsonl"))
    assert len(metrics) == 4
    for path in metrics:
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
        assert steps == sorted(set(steps)), "nothing ran twice into one folder"
        assert steps[-1] == 400
