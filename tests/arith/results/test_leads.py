"""Advantages of one curve over another, seed by seed, and their figure."""

import csv
from pathlib import Path

import pytest

from arith.errors import UsageError
from arith.figures.against.leads import draw_leads
from arith.results.figure_plan import Contest
from arith.results.leads import measure_leads
from arith.results.schema import GRID, Cell
from arith.results.uncertainty import difference_band, wilson

CONTEST = Contest("padded-2", "plain-2", "1-2 digits, 96k")


def cell(label: str, seed: int, lengths: tuple[int, int] | int, correct: int, longest: int = 2) -> Cell:
    """400 problems of one length, or of the lengths of two operands, to a model trained on 1-2 digits."""
    low, high = wilson(correct, 400)
    grid = isinstance(lengths, tuple)
    return Cell(
        label=label,
        task="multiplication",
        format=label,
        encoding="learned",
        structure_aware=False,
        suite=GRID if grid else "random",
        split="test",
        train_lengths=(1, longest),
        digits=max(lengths) if isinstance(lengths, tuple) else lengths,
        operand_lengths=lengths if isinstance(lengths, tuple) else (lengths, lengths),
        model_seed=seed,
        data_seed=seed,
        test_seed=1,
        step=10,
        samples=640,
        parameters=100,
        n=400,
        correct=correct,
        accuracy=correct / 400,
        low=low,
        high=high,
        seen=0,
        training_seconds=1.0,
    )


def both(seeds: int = 3) -> list[Cell]:
    found = []
    for seed in range(seeds):
        for label, more in (("padded-2", 40 + 40 * seed), ("plain-2", 0)):
            found += [cell(label, seed, lengths, 200 + more) for lengths in ((1, 1), (2, 1), (1, 2), 2, 3)]
    return found


def test_differences_are_taken_within_seeds() -> None:
    leads = {lead.lengths: lead for lead in measure_leads(both(), [CONTEST])}
    assert set(leads) == {"all pairs of lengths", "N x 1", "1 x N", "N digits", "N + 1 digits"}
    for lead in leads.values():
        assert lead.differences == pytest.approx((0.1, 0.2, 0.3))
        assert lead.median == pytest.approx(0.2)
        assert lead.low < 0.2 < lead.high
    assert (leads["all pairs of lengths"].n, leads["N x 1"].n) == (1200, 400)


def test_two_digits_by_two_are_shown_where_they_are_not_the_longest() -> None:
    cells = [cell(label, 0, (2, 2), 200, longest=3) for label in ("padded-2", "plain-2")]
    assert [lead.lengths for lead in measure_leads(cells, [CONTEST])] == ["all pairs of lengths", "2 x 2"]


def test_a_contest_whose_curves_are_not_there_is_left_out() -> None:
    alone = [own for own in both() if own.label == "plain-2"]
    assert measure_leads(alone, [CONTEST]) == []


def test_only_seeds_that_both_have_are_compared() -> None:
    cells = [own for own in both() if (own.label, own.model_seed) != ("plain-2", 1)]
    assert all(lead.differences == pytest.approx((0.1, 0.3)) for lead in measure_leads(cells, [CONTEST]))


def test_other_lengths_are_no_contest() -> None:
    cells = [cell("padded-2", 0, 2, 200), cell("plain-2", 0, 2, 200, longest=3)]
    with pytest.raises(UsageError, match="'padded-2' and 'plain-2' were trained on other lengths"):
        measure_leads(cells, [CONTEST])


def test_the_interval_is_of_the_median_over_seeds_and_problems() -> None:
    same = [((200, 400), (200, 400))] * 5
    low, high = difference_band(same, 1)
    # Of one seed the standard error is sqrt(2 / (4 * 400)) = 3.5 points; a median of five has some half of it.
    assert -0.05 < low < -0.01 < 0.01 < high < 0.05
    apart = [((0, 400), (400, 400))] * 5
    assert difference_band(apart, 1) == (1.0, 1.0)
    assert difference_band(same, 1) == (low, high)


def test_the_figure_has_its_numbers_beside_it(tmp_path: Path) -> None:
    files = draw_leads(measure_leads(both(), [CONTEST]), tmp_path / "figure", "A title")
    assert [file.name for file in files] == ["figure.png", "figure.pdf", "figure.svg", "figure.csv"]
    with files[-1].open() as opened:
        rows = list(csv.DictReader(opened))
    assert {row["lengths"]: row["difference_by_seed"] for row in rows}["N digits"] == "0.1 0.2 0.3"
    assert "padded over plain" in files[2].read_text()
