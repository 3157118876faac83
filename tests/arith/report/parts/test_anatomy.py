"""Error anatomy."""

from arith.report.markup import element
from arith.report.parts.anatomy import MEANINGS, anatomy_part
from arith.results.error_classes import pool_anatomies
from arith.results.schema import CLASSES
from tests.arith.examples import anatomy
from tests.arith.report.pages import Reader

POOLED = pool_anatomies([anatomy("rope", digits, 60) for digits in (4, 9)], "random")


def test_every_class_is_explained_and_counted() -> None:
    assert set(MEANINGS) == set(CLASSES)
    read = Reader(anatomy_part(POOLED, {"dropped": element("em", "an example")}))
    assert read.texts["em"] == ["an example"]
    assert " dropped carry: 20" in read.texts["dt"]
    assert len(read.texts["dt"]) == 1 + len(CLASSES)


def test_a_bar_has_a_part_for_each_class_that_says_its_count() -> None:
    read = Reader(anatomy_part(POOLED, {}))
    assert "4 digits: 140 of 200 answers (70%) right" in read.texts["title"]
    assert "9 digits: 10 of 200 answers (5%) dropped carry" in read.texts["title"]


def test_classes_differ_in_grey() -> None:
    read = Reader(anatomy_part(POOLED, {}))
    assert {values["id"] for name, values in read.elements if name == "pattern"} == {
        *("p-dropped", "p-spurious", "p-copied", "p-length")
    }


def test_where_all_is_right_there_is_no_chart_and_other_suites_are_folded() -> None:
    right = pool_anatomies([anatomy("rope", 4, 0, suite="chain")], "chain")
    read = Reader(anatomy_part([*POOLED, *right], {}))
    assert "All 200 answers are right." in read.texts["p"]
    assert read.texts["summary"] == ["Suite: chain problems"]
