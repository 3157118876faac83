"""Which parts a page has, and what is said of the others."""

import dataclasses

import pytest

from arith.errors import UsageError
from arith.report.build import Extras, build_parts, describe
from arith.report.sources import Source
from arith.results.schema import Results
from tests.arith.examples import cell
from tests.arith.report.pages import full_source


def of(*cells: object) -> Source:
    return Source("some", None, Results(cells))  # type: ignore[arg-type]


def test_parts_without_data_are_named_with_the_command_that_brings_them() -> None:
    parts, missing = build_parts([of(cell())], Extras())
    assert [part.key for part in parts] == ["accuracy"]
    assert {one.command for one in missing} == {
        "arith evaluate RUN --grid 1-15",
        "arith evaluate RUN --anatomy",
        "arith evaluate RUN --predictions RUN/predictions.jsonl",
        "arith report RUN",
        "",
    }


def test_a_full_source_has_every_part_of_files() -> None:
    parts, _ = build_parts([full_source()], Extras())
    assert [part.key for part in parts] == ["accuracy", "grid", "training", "anatomy", "provenance"]


def test_no_cells_are_refused() -> None:
    with pytest.raises(UsageError, match="no cells to report on"):
        build_parts([of()], Extras())


def test_unused_cells_are_told() -> None:
    _, missing = build_parts([dataclasses.replace(of(cell()), unused=3)], Extras())
    assert missing[-1].why.startswith("3 cells of evaluation.json")


def test_two_are_compared_by_label_or_as_the_only_ones() -> None:
    def compared(one: Source, two: Source) -> str:
        return build_parts([one, two], Extras(), compare=True)[0][0].body

    assert "t5 against rope, random problems" in compared(of(cell("rope")), of(cell("t5")))
    one, two = of(cell("rope"), cell("x (a)")), of(cell("x (b)"), cell("t5"))
    both = compared(dataclasses.replace(one, name="a"), dataclasses.replace(two, name="b"))
    assert "x (b) against x (a)" in both
    assert "t5 against" not in both
    with pytest.raises(UsageError, match="no suite in common"):
        compared(of(cell("rope")), of(cell("t5", suite="chain")))


def test_the_lead_says_what_was_trained_and_tested() -> None:
    told = describe([of(*(cell("rope", digits, seed=seed) for digits in (1, 9) for seed in (0, 1)))])
    assert told == "Addition, written padded. Trained on 1-4 digits, tested on 1-9. 1 curve, 2 trained models."
