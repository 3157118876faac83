"""What the chart of accuracy says."""

from arith.report.parts.accuracy import accuracy_part, describe_point, summary_table
from arith.results.curves import curves
from tests.arith.examples import cell
from tests.arith.report.pages import Reader

CELLS = [
    cell(label, d, correct, seed=s) for label, correct in (("rope", 400), ("t5", 300)) for d in (4, 9) for s in (0, 1)
]


def test_a_point_says_accuracy_interval_problems_and_seeds() -> None:
    fitted, unfitted = curves(CELLS, "random")
    told = describe_point(fitted, fitted.points[1])
    assert told == "rope, 9 digits: 100%, 95% interval 99 to 100, n = 400 a seed, 2 seeds: 100, 100"
    assert describe_point(unfitted, unfitted.points[0]).endswith("(unfitted, 75%)")


def test_the_unfitted_are_hollow_and_groups_stand_apart() -> None:
    drawn = curves([*CELLS, cell("coupled", structure_aware=True)], "random")
    read = Reader(accuracy_part({"random": drawn}))
    assert [values["class"] for values in read.of_class("curve")] == ["curve c0", "curve c1 hollow", "curve c2"]
    assert read.texts["h3"] == ["structure-free", "structure-aware: digit alignment built in"]
    assert any("development figures" in text for text in read.texts["p"])


def test_further_suites_are_folded() -> None:
    suites = {suite: curves([cell(suite=suite)], suite) for suite in ("random", "chain")}
    assert Reader(accuracy_part(suites)).texts["summary"] == ["As a table", "Suite: chain problems", "As a table"]


def test_the_summary_says_how_far_each_is_sure() -> None:
    read = Reader(summary_table(curves(CELLS, "random")))
    assert "9 digits" in read.texts["td"]
    assert "unfitted, 75%" in read.texts["td"]
    assert "0 of 2" in read.texts["td"]
