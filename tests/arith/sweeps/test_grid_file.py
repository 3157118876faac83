"""Files of grids and searches, as plans of runs."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config.schema import RunConfig
from arith.sweeps import grid_file as grid
from tests.arith.sweeps.grid import GRID, SEARCH, write_grid

Arith = Callable[..., Result]


def test_a_grid_is_a_product_and_a_search_has_its_own_seeds(tmp_path: Path) -> None:
    plan = grid.load(write_grid(tmp_path, GRID + SEARCH))
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


def test_ablation_changes_one_field_at_a_time(arith: Arith) -> None:
    shown = arith(
        *("sweep", "extrapolation:rope", "--ablate", "data.carry_mix=0.25", "--ablate", "model.norm_after=false"),
        *("--seeds", "2", "--dry-run"),
    )
    assert shown.exit_code == 0, shown.output
    planned = [re.split(r"\s{2,}", line)[:2] for line in shown.stdout.splitlines()[1:-2]]
    assert planned == [["as it is", "2"], ["carry mix 0.25", "2"], ["norm after False", "2"]]
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
    write_grid(tmp_path, text)
    refused = arith("sweep", "grid.toml")
    assert refused.exit_code == 2
    assert reason in " ".join(refused.stderr.split())
    assert not (tmp_path / "runs").exists()


def test_a_recipe_is_the_start_and_what_is_written_beside_it_replaces_it(tmp_path: Path) -> None:
    text = 'recipe = "extrapolation:rope"\n[model]\npreset = "nano"\n[grid]\n'
    plan = grid.load(write_grid(tmp_path, text + '"training.betas" = [[0.9, 0.98], [0.9, 0.999]]'))
    assert [job.config.model.layers for job in plan.jobs()] == [1, 1]
    assert [job.config.training.betas for job in plan.jobs()] == [(0.9, 0.98), (0.9, 0.999)]
    assert plan.base.data.carry_mix == 0.5


def test_how_a_run_is_watched_does_not_change_its_folder(tmp_path: Path) -> None:
    before = [job.folder for job in grid.load(write_grid(tmp_path, GRID)).jobs()]
    watched = GRID.replace("batch = 8", "batch = 8\nlog_every = 1\nkeep = 7")
    assert [job.folder for job in grid.load(write_grid(tmp_path, watched)).jobs()] == before
    other = GRID.replace("batch = 8", "batch = 9")
    assert not set(before) & {job.folder for job in grid.load(write_grid(tmp_path, other)).jobs()}


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
