import csv
from pathlib import Path
from typing import Any

from arith.figures.against.numbers import numbered_panels
from arith.figures.report import draw_report
from arith.results.figure_plan import FigurePlan
from arith.results.schema import Cell, Results

MEASURES = {
    **{"exact_calls": 40, "right_call": 90, "right_arguments": 80, "right_value": 70, "out_of_domain": 50},
    **{"refusals": 45, "false_refusals": 1, "prompt_tokens": 5000, "reply_tokens": 1000},
    **{"seconds_median": 0.01, "seconds_p95": 0.02},
}


def cell(label: str, seed: int = 0, digits: int = 1, correct: int = 85, **others: Any) -> Cell:
    values: dict[str, Any] = {
        **{"label": label, "task": "request", "format": "plain", "encoding": "rope", "structure_aware": False},
        **{"suite": "random", "split": "test", "train_lengths": (1, 2), "digits": digits, "operand_lengths": None},
        **{"model_seed": seed, "data_seed": seed, "test_seed": 0, "step": 1, "samples": 1, "parameters": 1},
        **{"n": 100, "correct": correct, "accuracy": correct / 100, "low": 0.0, "high": 1.0, "seen": 0},
        **{"training_seconds": 1.0, "measures": MEASURES},
    }
    return Cell(**{**values, **others})


def test_measures_are_drawn_against_the_number_in_the_label() -> None:
    cells = [
        *(cell("tuned-1", seed) for seed in range(5)),
        *(cell("tuned-30", seed, digits=digits) for seed in range(5) for digits in (1, 2, 3)),
        cell("base", correct=0),
    ]
    panels = {panel.y: panel for panel in numbered_panels(cells, "examples a call")}
    assert {panel.x for panel in panels.values()} == {"examples a call"}
    (line,) = panels["exact in domain (%)"].lines
    assert line.label == "tuned"
    assert line.values == {1: [80] * 5, 30: [80] * 5}
    assert not any(panel.log for panel in panels.values())
    # Of 100 queries 50 are out of the domain; 3 digits were not trained.
    assert panels["refused out of domain (%)"].lines[0].values[30] == [90.0] * 5
    assert panels["right call in domain (%)"].lines[0].values[30] == [90.0] * 5
    assert panels["right arguments (%)"].lines[0].values[30] == [80.0] * 5
    assert panels["refused in domain (%)"].lines[0].values[30] == [2.0] * 5
    assert panels["tokens a query"].lines[0].values[30] == [60.0] * 5
    assert panels["ms a query (95th percentile)"].lines[0].values[30] == [20.0] * 5


def test_what_is_not_measured_has_no_panel() -> None:
    panels = numbered_panels([cell("big-1", measures={}, train_lengths=(0, 0), digits=9)], "shots")
    assert [panel.y for panel in panels] == ["exact (%)", "seeds without a mistake (%)"]
    assert not numbered_panels([cell("big")], "shots")
    assert all(panel.log for panel in numbered_panels([cell("big-3"), cell("big-300")], "shots"))
    nothing_outside = {**MEASURES, "out_of_domain": 0, "refusals": 0}
    names = [panel.y for panel in numbered_panels([cell("tuned-1", measures=nothing_outside)], "shots")]
    assert "exact in domain (%)" in names
    assert "refused out of domain (%)" not in names


def test_seeds_without_a_mistake_are_counted_at_lengths_beyond_training_if_no_other_is_tested() -> None:
    right = [100, 100, 99, 100]
    cells = [cell("adder-143", seed, digits=10, correct=n, measures={}) for seed, n in enumerate(right)]
    cells += [cell("adder-75", seed, digits=10, correct=50, measures={}) for seed in range(4)]
    exact, whole = numbered_panels(cells, "parameters")
    assert exact.lines[0].values == {75: [50] * 4, 143: right}
    assert whole.lines[0].values == {75: [0], 143: [75]}
    # A length that was trained is tested too: it alone counts.
    cells += [cell("adder-75", seed, digits=2, correct=100, measures={}) for seed in range(4)]
    assert numbered_panels(cells, "parameters")[1].lines[0].values == {75: [100], 143: [75]}


def test_a_recipe_has_them_in_a_figure_of_their_own(tmp_path: Path) -> None:
    cells = tuple(cell(f"tuned-{number}", seed) for number in (1, 300) for seed in range(2))
    _, files = draw_report(Results(cells), tmp_path / "calls", "Calls", plan=FigurePlan(against="examples a call"))
    assert tmp_path / "calls-against.png" in files
    with (tmp_path / "calls-against.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["quantity"] == "right call in domain (%)"]
    assert [(row["label"], float(row["at"]), float(row["median"])) for row in rows] == [
        ("tuned", 1, 90),
        ("tuned", 300, 90),
    ]
    _, files = draw_report(Results((cell("base"),)), tmp_path / "base", "Base", plan=FigurePlan(against="examples"))
    assert tmp_path / "base-against.png" not in files
