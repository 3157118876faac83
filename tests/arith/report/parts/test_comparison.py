"""One model against another."""

from arith.report.parts.comparison import comparison_part
from arith.results.curves import Curve, curves
from tests.arith.examples import cell
from tests.arith.report.pages import Reader


def curve(label: str, correct: int, *seeds: int) -> Curve:
    return curves([cell(label, digits, correct, seed=seed) for digits in (4, 9) for seed in seeds], "random")[0]


def test_the_difference_is_of_the_second_less_the_first_over_seeds_of_both() -> None:
    read = Reader(comparison_part([(curve("a", 400, 0, 1, 2), curve("b", 300, 1, 2, 3))]))
    assert read.texts["title"][0].startswith("4 digits: 100% and 75%, difference -25.0, 95% interval -2")
    assert read.texts["title"][0].endswith(", 2 seeds of both")
    assert len(read.of_class("bar")) == 2


def test_without_a_seed_in_common_there_is_no_interval() -> None:
    read = Reader(comparison_part([(curve("a", 400, 0), curve("b", 300, 1))]))
    assert "difference -25.0, 95% interval none, 0 seeds of both" in read.texts["title"][0]
    assert not read.of_class("bar")
    assert len(read.of_class("hollow")) == 2  # b is unfitted


def test_tests_on_the_same_problems_are_a_table() -> None:
    pair = (curve("a", 400, 0), curve("b", 300, 0))
    assert "McNemar" in comparison_part([pair], [["suite", "p"], ["random", "0.01"]])
    assert "McNemar" not in comparison_part([pair])
