"""Which figures a results file asks for, and how they are laid out."""

import csv
from pathlib import Path

from arith.figures.report import draw_report, tracked_panels
from arith.results.schema import Results, Series
from tests.arith.examples import cell


def tracked(run: str, tokens: tuple[float, float], accuracies: tuple[float, float] = (0.5, 1.0)) -> list[Series]:
    steps = (100, 200)
    return [
        Series(run, "accuracy at 2 digits", steps, accuracies),
        Series(run, "samples", steps, (1e4, 2e4)),
        Series(run, "tokens", steps, tokens),
    ]


def test_accuracy_is_drawn_against_tokens_where_curves_read_unlike_numbers_of_them() -> None:
    worked = [tracked(f"worked-{seed}", (5e6, 10e6 + seed)) for seed in (1, 2, 3)]
    (panel,) = tracked_panels([row for part in (*worked, tracked("bare-1", (1e6, 2e6))) for row in part])
    assert (panel.x, panel.y) == ("tokens read (millions)", "accuracy at 2 digits (%)")
    assert {line.label: list(line.values) for line in panel.lines} == {"worked": [5, 10.000002], "bare": [1, 2]}
    assert panel.lines[0].values[5] == [50, 50, 50]


def test_accuracy_is_drawn_against_steps_where_curves_read_alike() -> None:
    rows = [*tracked("one-1", (1e6, 2e6)), *tracked("other-1", (1.01e6, 2.02e6))]
    (panel,) = tracked_panels(rows)
    assert panel.x == "training step"
    assert [list(line.values) for line in panel.lines] == [[100, 200]] * 2


def test_a_curve_that_counted_no_tokens_leaves_the_steps() -> None:
    rows = [*tracked("one-1", (1e6, 2e6)), *tracked("two-1", (5e6, 9e6)), *tracked("old-1", (1, 1))[:1]]
    assert tracked_panels(rows)[0].x == "training step"


def test_the_suite_with_the_longest_problems_is_drawn(tmp_path: Path) -> None:
    short, long = cell(digits=4), cell(digits=9, suite="thin")
    draw_report(Results((short, long)), tmp_path / "thin", "Thin")
    rows = list(csv.DictReader((tmp_path / "thin.csv").open()))
    assert {row["digits"] for row in rows} == {"9"}
    draw_report(Results((short, cell(digits=4, suite="thin"))), tmp_path / "both", "Both")
    assert {row["suite"] for row in csv.DictReader((tmp_path / "both.csv").open())} == {"random"}
