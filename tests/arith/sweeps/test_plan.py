"""Plans of many runs: what a search chooses."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from arith.results.schema import Results
from arith.sweeps import grid_file as grid
from tests.arith.sweeps.grid import GRID, SEARCH, write_grid

Arith = Callable[..., Result]


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

    plan = grid.load(write_grid(tmp_path, GRID + SEARCH))
    trials = plan.search_jobs()
    found = [scored(0.9, 0.0), scored(0.5, 1.0), scored(0.1, 0.9), scored(0.2, 0.0)]
    chosen = plan.with_choice({job.folder: own for job, own in zip(trials, found, strict=True)})  # type: ignore[misc]
    rates = {job.label: job.config.training.learning_rate for job in chosen.jobs()}
    assert rates == {"rope": 1e-4, "nope": 1e-2}
