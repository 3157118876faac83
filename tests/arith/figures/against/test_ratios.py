"""Accuracy against the ratio of gradients."""

import csv
from pathlib import Path

from arith.figures.against.ratios import draw_ratios, pair_runs
from arith.results.figure_plan import Contest
from arith.results.schema import Results, Series
from tests.arith.examples import cell

CONTESTS = [Contest("sgd-frozen", "sgd", "momentum"), Contest("plain-frozen", "plain", "none")]


def results() -> Results:
    """Curves `sgd` with two seeds, of which one has tracked its ratio, and `plain` without a frozen one."""
    cells = [
        cell(label=label, seed=seed, digits=digits, correct=correct, train_lengths=(1, 2))
        for label, seed, digits, correct in (
            ("sgd", 1, 2, 20),
            ("sgd", 1, 3, 400),
            ("sgd-frozen", 1, 2, 380),
            ("sgd", 2, 2, 40),
            ("sgd-frozen", 2, 2, 300),
            ("plain", 1, 2, 40),
        )
    ]
    series = (Series("sgd-1", "gradient_ratio", (1, 2), (20.0, 3.0)), Series("plain-1", "gradient_ratio", (1,), (9.0,)))
    return Results(tuple(cells), series=series)


def test_runs_of_a_seed_are_paired_by_the_ratio_at_the_first_step() -> None:
    (pair,) = pair_runs(results(), CONTESTS)
    assert (pair.contest, pair.seed, pair.ratio) == (CONTESTS[0], 1, 20.0)
    assert (pair.over, pair.of) == (20 / 400, 380 / 400)


def test_pairs_are_drawn_with_their_numbers(tmp_path: Path) -> None:
    files = draw_ratios(pair_runs(results(), CONTESTS), tmp_path / "ratios")
    assert all(file.stat().st_size for file in files)
    with (tmp_path / "ratios.csv").open(encoding="utf-8") as table:
        (row,) = csv.DictReader(table)
    assert (row["gradient_ratio"], row["accuracy_of"], row["accuracy_over"]) == ("20", "0.95", "0.05")
