"""Many runs: plans, executors, one table and one figure."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config.schema import RunConfig
from arith.experiment.inventory import FAILED
from arith.experiment.run import Run
from arith.process.progress import QUIET
from arith.process.signals import Interrupted
from arith.results.schema import Results
from arith.sweeps import grid_file as grid
from arith.sweeps.worker import Outcome, RunOrder, work

Arith = Callable[..., Result]
GRID = """
title = "Two encodings"
[data]
digits = "1-2"
[training]
steps = 6
batch = 8
evaluate_every = 6
evaluate_samples = 8
[evaluation]
digits = [1, 2, 3]
samples = 20
[model]
preset = "nano"
[grid]
encoding = ["rope", "nope"]
seeds = [0, 1]
"""
SEARCH = """
[search]
"training.learning_rate" = [1e-4, 1e-2]
seeds = [100]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def test_a_grid_is_a_product_and_a_search_has_its_own_seeds(tmp_path: Path) -> None:
    plan = grid.load(written(tmp_path, GRID + SEARCH))
    jobs = plan.jobs()
    assert [(job.label, job.config.model.seed, job.config.data.seed) for job in jobs] == [
        ("rope", 0, 0),
        ("rope", 1, 1),
        ("nope", 0, 0),
        ("nope", 1, 1),
    ]
    trials = plan.search_jobs()
    assert [(job.config.encoding, job.config.training.learning_rate) for job in trials] == [
        ("rope", 1e-4),
        ("rope", 1e-2),
        ("nope", 1e-4),
        ("nope", 1e-2),
    ]
    assert {job.config.model.seed for job in trials} == {100}
    assert len({job.folder for job in (*jobs, *trials)}) == 8


def test_a_search_chooses_on_trained_lengths_alone(tmp_path: Path, arith: Arith) -> None:
    arith(
        "train",
        "--steps",
        "2",
        "--batch",
        "8",
        "--digits",
        "1-2",
        "--test-digits",
        "1-3",
        "--samples",
        "9",
        "--out",
        "r",
    )
    cells = Results.load(tmp_path / "r" / "results.json").cells

    def scored(inside: float, outside: float) -> list[object]:
        import dataclasses

        return [dataclasses.replace(cell, accuracy=inside if cell.digits <= 2 else outside) for cell in cells]

    plan = grid.load(written(tmp_path, GRID + SEARCH))
    trials = plan.search_jobs()
    found = [scored(0.9, 0.0), scored(0.5, 1.0), scored(0.1, 0.9), scored(0.2, 0.0)]
    chosen = plan.with_choice({job.folder: own for job, own in zip(trials, found, strict=True)})  # type: ignore[misc]
    rates = {job.label: job.config.training.learning_rate for job in chosen.jobs()}
    assert rates == {"rope": 1e-4, "nope": 1e-2}


def test_equal_flops_give_longer_sequences_fewer_steps(tmp_path: Path) -> None:
    from arith.experiment.experiment import Experiment
    from arith.performance.estimate import flops_per_step
    from arith.sweeps.sweep import SweepOptions, equalise

    text = 'equal = "flops"\nencoding = "rope"\n' + GRID.replace("steps = 6", "steps = 600").replace(
        'encoding = ["rope", "nope"]', 'format = ["plain", "plain+recursive"]'
    )
    plan = equalise(grid.load(written(tmp_path, text)), SweepOptions(tmp_path / "out", "local", 1, 1))
    spent = {job.label: job.config.training.steps * flops_per_step(Experiment.of(job.config)) for job in plan.jobs()}
    assert len(spent) == 2
    assert max(spent.values()) / min(spent.values()) < 1.01
    assert plan.jobs()[0].config.training.steps > 2 * plan.jobs()[2].config.training.steps


def test_ablation_changes_one_field_at_a_time(arith: Arith) -> None:
    shown = arith(
        *("sweep", "extrapolation:rope", "--ablate", "data.carry_mix=0.25", "--ablate", "model.norm_after=false"),
        *("--seeds", "2", "--dry-run"),
    )
    assert shown.exit_code == 0, shown.output
    assert [line.partition(",")[0] for line in shown.stdout.splitlines()[:-1]] == [
        *["as it is"] * 2,
        *["carry mix 0.25"] * 2,
        *["norm after False"] * 2,
    ]
    base = RunConfig()
    plan = grid.ablation(base, "x", [("model.layers", 3)], (0,))
    assert [job.config.model.layers for job in plan.jobs()] == [base.model.layers, 3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[training]\nsteps = 3", "has no [grid]"),
        ("[grid]\nencoding = 'rope'", "takes a list of values, got 'rope'"),
        ("[grid]\nencodin = ['rope']", "no setting is called 'encodin'"),
        ("equal = 'fairly'\n[grid]\nencoding = ['rope']", "equal is one of samples, flops, seconds"),
        ("minutes = 1\n[grid]\nencoding = ['rope']", 'go with equal = "seconds"'),
        (
            "[grid]\nencoding = ['rope']\nseeds = [1]\n[search]\n'training.clip' = [2.0]\nseeds = [1]",
            "seeds of its own",
        ),
        ("[grid]\nformat = ['plain']\n[search]\n'training.learning_rate' = [1e-3]", "which the grid does not name"),
        ("[grid", "is no TOML"),
        ("[grid]\nencoding = ['rope', 'rope']", "names 'rope' twice"),
        ("[grid]\nencoding = ['rope']\nseeds = []", "takes a list of values, got []"),
        ("[grid]\nencoding = ['rope']\nseeds = 3", "takes a list of values, got 3"),
        ("[grid]\nencoding = ['rope']\nseeds = ['a']", "seeds are whole numbers"),
        ("[grid]\n'data.seed' = [3]", "is set by seeds = [...]"),
        ("[grid]\n'training.steps' = [3, 4]", 'write equal = "steps"'),
        ("[grid]\nencoding = ['rope']\n[search]\nfor = 'encoding'\n'training.clip' = [1.0]", "'for' takes a list"),
        (
            "[evaluation]\ndigits = [9]\n[grid]\nencoding = ['rope']\n[search]\n'training.clip' = [1.0]",
            "evaluation.digits or evaluation.suites have none of these",
        ),
        ("[grid]\nencoding = ['ropee']", "Did you mean 'rope'"),
    ],
)
def test_grids_that_cannot_be_are_refused(arith: Arith, tmp_path: Path, text: str, reason: str) -> None:
    written(tmp_path, text)
    refused = arith("sweep", "grid.toml")
    assert refused.exit_code == 2
    assert reason in " ".join(refused.stderr.split())
    assert not (tmp_path / "runs").exists()


def started(tmp_path: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "arith", "sweep", "grid.toml", "--jobs", "2", "--threads", "1", *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=tmp_path, stderr=pipe, stdout=pipe, text=True, start_new_session=True)


def test_a_recipe_is_the_start_and_what_is_written_beside_it_replaces_it(tmp_path: Path) -> None:
    text = 'recipe = "extrapolation:rope"\n[model]\npreset = "nano"\n[grid]\n'
    plan = grid.load(written(tmp_path, text + '"training.betas" = [[0.9, 0.98], [0.9, 0.999]]'))
    assert [job.config.model.layers for job in plan.jobs()] == [1, 1]
    assert [job.config.training.betas for job in plan.jobs()] == [(0.9, 0.98), (0.9, 0.999)]
    assert plan.base.data.carry_mix == 0.5


def test_equal_samples_and_what_is_kept_of_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from arith.sweeps import sweep as sweeping

    batches = GRID.replace('encoding = ["rope", "nope"]', '"training.batch" = [8, 16]').replace(
        "steps = 6", "steps = 60"
    )
    means = sweeping.SweepOptions(tmp_path / "out", "local", 1, 1)
    plan = sweeping.equalise(grid.load(written(tmp_path, 'encoding = "rope"\n' + batches)), means)
    assert {(job.config.training.batch, job.config.training.steps) for job in plan.jobs()} == {(8, 60), (16, 30)}

    measured: list[str] = []

    def for_minutes(config: RunConfig, minutes: float) -> RunConfig:
        measured.append(config.encoding)
        return config.with_values({"training": {"steps": 100 + len(measured)}})

    monkeypatch.setattr(sweeping, "for_minutes", for_minutes)
    for minutes, expected in ((1, 2), (1, 2), (2, 4)):
        text = f'equal = "seconds"\nminutes = {minutes}\n' + GRID
        plan = sweeping.equalise(grid.load(written(tmp_path, text)), means)
        assert len({job.config.training.steps for job in plan.jobs()}) == 2
        assert len(measured) == expected, "each encoding once, whatever its seeds; again for another time"


def test_how_a_run_is_watched_does_not_change_its_folder(tmp_path: Path) -> None:
    before = [job.folder for job in grid.load(written(tmp_path, GRID)).jobs()]
    watched = GRID.replace("batch = 8", "batch = 8\nlog_every = 1\nkeep = 7")
    assert [job.folder for job in grid.load(written(tmp_path, watched)).jobs()] == before
    other = GRID.replace("batch = 8", "batch = 9")
    assert not set(before) & {job.folder for job in grid.load(written(tmp_path, other)).jobs()}


def test_labels_that_collide_are_refused(arith: Arith) -> None:
    shown = arith(
        *(
            "sweep",
            "extrapolation:rope",
            "--ablate",
            "data.samples=50",
            "--ablate",
            "evaluation.samples=50",
            "--dry-run",
        )
    )
    assert shown.exit_code == 2
    assert "two of the curves would be called 'samples 50'" in " ".join(shown.stderr.split())


def test_a_sweep_ends_in_one_table_and_one_figure_and_is_not_done_twice(tmp_path: Path) -> None:
    written(tmp_path, GRID + SEARCH)
    process = started(tmp_path)
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
    again, errors = started(tmp_path).communicate(timeout=200)
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
    written(tmp_path, text)
    _, errors = (process := started(tmp_path)).communicate(timeout=200)
    assert process.returncode == 1
    assert "1 of 2 runs failed" in errors
    assert "RuntimeError: this run is broken" in errors
    folder = tmp_path / "runs" / "sweep-grid"
    (failed,) = folder.glob("*/failed.txt")
    assert "Traceback" in failed.read_text()
    assert len(list(folder.glob("*/results.json"))) == 1, "the other one went on"
    (tmp_path / "broken").unlink()
    out, errors = (process := started(tmp_path)).communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "1 of 2 runs are finished already" in errors
    assert "test-fragile" in out
    assert not failed.exists()


def test_a_run_has_failed_until_it_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[Exception] = [ValueError("no: 12㊷"), Interrupted("go on")]

    def ending(*_: object) -> None:
        raise ends.pop(0)

    monkeypatch.setattr("arith.sweeps.worker.run_and_test", ending)
    monkeypatch.setenv(QUIET, "1")  # which the work sets for good
    config = RunConfig()
    order = RunOrder(str(tmp_path / "run"), "a", config.as_dict(), threads=1)
    assert work(order) == Outcome("failed", "ValueError: no: 12㊷")
    assert "Traceback" in (tmp_path / "run" / FAILED).read_text(encoding="utf-8")
    Run.begin(tmp_path / "run", config, "resume")  # as `arith train --resume` does
    assert not (tmp_path / "run" / FAILED).exists()
    assert work(order) == Outcome("interrupted")
    assert not (tmp_path / "run" / FAILED).exists(), "to be interrupted is no failure"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_signal_saves_all_runs_and_the_command_goes_on(tmp_path: Path, number: int, whole_group: bool) -> None:
    written(tmp_path, GRID.replace("steps = 6", "steps = 2500").replace("batch = 8", "batch = 32"))
    process = started(tmp_path)
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
    _, errors = (process := started(tmp_path)).communicate(timeout=250)
    assert process.returncode == 0, errors


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
    written(tmp_path, text)
    _, errors = (process := started(tmp_path)).communicate(timeout=250)
    assert process.returncode == 1
    assert "2 of 6 runs failed" in errors
    assert errors.count("its process was killed") == 2
    assert len(list((tmp_path / "runs" / "sweep-grid").glob("*/results.json"))) == 4


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_its_run_goes_on(tmp_path: Path) -> None:
    written(
        tmp_path, GRID.replace("steps = 6", "steps = 600\ncheckpoint_every = 20").replace("batch = 8", "batch = 32")
    )
    process = started(tmp_path)
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

    plan = grid.load(written(tmp_path, GRID))
    runs = [Planned(job.label, Experiment.of(job.config), tmp_path / "out" / job.folder) for job in plan.jobs()[:2]]
    done = slurm([run.order(threads=1) for run in runs], 2, tmp_path / "logs", cluster="local")
    assert [outcome.state for _, outcome in done] == ["finished", "finished"]
    assert all(run.find_results() is not None for run in runs)
    assert "submitit" in type(runs[0].order(threads=1).checkpoint()).__module__


@pytest.mark.slow
def test_ray_survives_the_loss_of_a_worker(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    written(
        tmp_path, GRID.replace("steps = 6", "steps = 400\ncheckpoint_every = 20").replace("batch = 8", "batch = 32")
    )
    process = started(tmp_path, "--executor", "ray")
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
