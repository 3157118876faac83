"""Many runs, from end to end: one table and one figure."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from arith.config.schema import RunConfig
from arith.results.schema import Results
from arith.sweeps import grid_file as grid
from tests.arith.sweeps.grid import GRID, SEARCH, start_sweep, write_grid


def test_equal_flops_give_longer_sequences_fewer_steps(tmp_path: Path) -> None:
    from arith.experiment.experiment import Experiment
    from arith.performance.estimate import flops_per_step
    from arith.sweeps.sweep import SweepOptions, equalise

    text = 'equal = "flops"\nencoding = "rope"\n' + GRID.replace("steps = 6", "steps = 600").replace(
        'encoding = ["rope", "nope"]', 'format = ["plain", "plain+recursive"]'
    )
    plan = equalise(grid.load(write_grid(tmp_path, text)), SweepOptions(tmp_path / "out", "local", 1, 1))
    spent = {job.label: job.config.training.steps * flops_per_step(Experiment.of(job.config)) for job in plan.jobs()}
    assert len(spent) == 2
    assert max(spent.values()) / min(spent.values()) < 1.01
    assert plan.jobs()[0].config.training.steps > 2 * plan.jobs()[2].config.training.steps


def test_equal_samples_and_what_is_kept_of_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from arith.sweeps import sweep as sweeping

    batches = GRID.replace('encoding = ["rope", "nope"]', '"training.batch" = [8, 16]').replace(
        "steps = 6", "steps = 60"
    )
    means = sweeping.SweepOptions(tmp_path / "out", "local", 1, 1)
    plan = sweeping.equalise(grid.load(write_grid(tmp_path, 'encoding = "rope"\n' + batches)), means)
    assert {(job.config.training.batch, job.config.training.steps) for job in plan.jobs()} == {(8, 60), (16, 30)}

    measured: list[str] = []

    def for_minutes(config: RunConfig, minutes: float) -> RunConfig:
        measured.append(config.encoding)
        return config.with_values({"training": {"steps": 100 + len(measured)}})

    monkeypatch.setattr(sweeping, "for_minutes", for_minutes)
    for minutes, expected in ((1, 2), (1, 2), (2, 4)):
        text = f'equal = "seconds"\nminutes = {minutes}\n' + GRID
        plan = sweeping.equalise(grid.load(write_grid(tmp_path, text)), means)
        assert len({job.config.training.steps for job in plan.jobs()}) == 2
        assert len(measured) == expected, "each encoding once, whatever its seeds; again for another time"


def test_a_sweep_ends_in_one_table_and_one_figure_and_is_not_done_twice(tmp_path: Path) -> None:
    write_grid(tmp_path, GRID + SEARCH)
    process = start_sweep(tmp_path)
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    folder = tmp_path / "runs" / "sweep-grid"
    assert "rope" in out
    assert (folder / "figures" / "grid.png").stat().st_size
    assert errors.count("chosen") == 2
    results = Results.load(folder / "results.json")
    assert {(c.label, c.model_seed) for c in results.cells} == {(e, s) for e in ("rope", "nope") for s in (0, 1)}
    assert results.about["trials"] == 2
    metrics = {path: path.stat().st_mtime_ns for path in folder.glob("*/metrics.jsonl")}
    assert len(metrics) == 8
    again, errors = start_sweep(tmp_path).communicate(timeout=200)
    assert again == out
    assert "4 of 4 runs are finished already" in errors
    assert {path: path.stat().st_mtime_ns for path in metrics} == metrics


FAILS_ONCE = """
from pathlib import Path
from arith.catalogue import ENCODINGS
from arith.encodings.nope import NoPE

@ENCODINGS.register("test-fragile")
class Fragile(NoPE):
    \"\"\"Fails in training while a file is there.\"\"\"

    def embed(self, x, positions):
        if Path(__file__).with_name("broken").exists():
            raise RuntimeError("this run is broken")
        return x
"""


def test_a_run_that_fails_is_listed_and_retried(tmp_path: Path) -> None:
    (tmp_path / "fragile.py").write_text(FAILS_ONCE)
    (tmp_path / "broken").touch()
    text = 'imports = ["fragile.py"]\n' + GRID.replace('["rope", "nope"]', '["test-fragile", "nope"]').replace(
        "[0, 1]", "[0]"
    )
    write_grid(tmp_path, text)
    _, errors = (process := start_sweep(tmp_path)).communicate(timeout=200)
    assert process.returncode == 1
    assert "1 of 2 runs failed" in errors
    assert "RuntimeError: this run is broken" in errors
    folder = tmp_path / "runs" / "sweep-grid"
    (failed,) = folder.glob("*/failed.txt")
    assert "Traceback" in failed.read_text()
    assert len(list(folder.glob("*/results.json"))) == 1, "the other one went on"
    (tmp_path / "broken").unlink()
    out, errors = (process := start_sweep(tmp_path)).communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "1 of 2 runs are finished already" in errors
    assert "test-fragile" in out
    assert not failed.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_signal_saves_all_runs_and_the_command_goes_on(tmp_path: Path, number: int, whole_group: bool) -> None:
    write_grid(tmp_path, GRID.replace("steps = 6", "steps = 2500").replace("batch = 8", "batch = 32"))
    process = start_sweep(tmp_path)
    folder = tmp_path / "runs" / "sweep-grid"
    while len(list(folder.glob("*/metrics.jsonl"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    time.sleep(1)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "arith sweep grid.toml --jobs 2" in errors
    begun = list(folder.glob("*/run.json"))
    assert len(begun) == 2, "no other run was begun"
    assert not list(folder.glob("*/failed.txt")), "they have not failed"
    for run in begun:
        saved = sorted((run.parent / "checkpoints").iterdir())[-1]
        rows = (run.parent / "metrics.jsonl").read_text().splitlines()
        assert saved.name == f"step-{json.loads(rows[-1])['step']:08d}"
    _, errors = (process := start_sweep(tmp_path)).communicate(timeout=250)
    assert process.returncode == 0, errors
