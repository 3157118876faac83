"""Accuracy against digit length: what the figure shows, and its file of numbers."""

import csv
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from arith.figures import style
from arith.figures.accuracy import draw_accuracy
from arith.results.curves import curves
from arith.results.figure_plan import Claim, FigurePlan
from tests.arith.examples import cell
from tests.arith.figures.layout import check_layout

LONG = "randomized-rope@coupled:origin=random"


def test_figures_are_written_and_repeatable(tmp_path: Path) -> None:
    cells = [
        cell(label, digits, n - digits, n) for label in ("rope", "coupled-x") for digits, n in ((1, 400), (50, 400))
    ]
    drawn = curves(cells, "random")
    first = draw_accuracy(drawn, tmp_path / "a" / "figure", "Title")
    second = draw_accuracy(drawn, tmp_path / "b" / "figure", "Title")
    assert [path.suffix for path in first] == [".png", ".pdf", ".svg", ".csv"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    rows = list(csv.DictReader(first[3].open()))
    assert [(row["label"], row["digits"], row["n"]) for row in rows[:2]] == [
        ("rope", "1", "400"),
        ("rope", "50", "400"),
    ]
    assert float(rows[1]["median"]) == 350 / 400


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_figures_take_extremes(tmp_path: Path, count: int, share: float) -> None:
    cells = [
        cell(f"encoding-{number}", digits, round(share * 400), seed=seed)
        for number in range(count)
        for digits in (1, 4, 500)
        for seed in range(2)
    ]
    assert all(path.stat().st_size for path in draw_accuracy(curves(cells, "random"), tmp_path / "figure"))


@pytest.mark.parametrize("count", [1, 2, 12])
@pytest.mark.parametrize("share", [0.0, 0.37, 1.0])
def test_no_label_is_cut_or_covered(tmp_path: Path, kept: list[Figure], count: int, share: float) -> None:
    names = [f"{LONG if place % 4 == 1 else 'encoding'}-{place}" for place in range(count)]
    for lengths in ((1, 4, 500), tuple(range(1, 25)), (7,)):
        cells = [
            cell(name, digits, round(share * 400) if digits > 4 else 400, seed=seed)
            for name in names
            for digits in lengths
            for seed in range(3)
        ]
        draw_accuracy(curves(cells, "random"), tmp_path / "figure", "A title over all")
        check_layout(kept[-1])
    assert max(kept[-1].get_size_inches()) <= 8


def test_unfitted_curves_are_hollow_and_others_filled(tmp_path: Path, kept: list[Figure]) -> None:
    counts = {"knows": 396, "missed": 395}  # of 400, at 4 digits, which are trained
    cells = [cell(name, d, right) for name, right in counts.items() for d in (1, 4, 9)]
    draw_accuracy(curves(cells, "random"), tmp_path / "figure")
    (panel,) = kept[-1].axes
    drawn = [line for line in panel.lines if line.get_marker() in style.MARKERS]
    looks = [(line.get_markeredgecolor(), line.get_markerfacecolor()) for line in drawn]
    filled, hollow = (style.COLOURS[0], style.COLOURS[0]), (style.COLOURS[1], "white")
    # Once as a curve, and once as the sample beside its label.
    assert sorted(looks) == [filled, filled, hollow, hollow]


def test_the_axis_and_chance_are_those_of_the_plan(tmp_path: Path, kept: list[Figure]) -> None:
    drawn = curves([cell(digits=digits) for digits in (1, 2, 4)], "random")
    draw_accuracy(drawn, tmp_path / "figure", plan=FigurePlan(axis="place along the chain", chance=0.2))
    check_layout(kept[-1])
    (panel,) = kept[-1].axes
    assert panel.get_xlabel() == "place along the chain"
    assert [line.get_ydata() for line in panel.lines if line.get_linestyle() == "--"] == [[20, 20]]
    assert any(text.get_text() == "chance" for text in panel.texts)
    draw_accuracy(drawn, tmp_path / "figure")
    assert kept[-1].axes[0].get_xlabel() == "digits of the longer operand"
    assert not any(text.get_text() == "chance" for text in kept[-1].axes[0].texts)


def test_groups_and_formats_have_panels_of_their_own(tmp_path: Path, kept: list[Figure]) -> None:
    formats = {"plain": "answers", "plain+spaces": "answers", "plain+recursive": "algorithm"}
    cells = [
        cell(
            *(f"{form}-{name}", digits, 400),
            **{"format": form, "encoding": name, "structure_aware": name == "coupled", "supervision": told},
        )
        for form, told in formats.items()
        for name in ("rope", "coupled")
        for digits in (2, 4, 5, 6, 8)
    ]
    drawn = curves(cells, "random")
    claims = (Claim(4, "Some: 4 digits"), Claim(6, "Others: 6 digits"), Claim(5, "Here: 5", "plain"), Claim(90, "Far"))
    draw_accuracy(drawn, tmp_path / "figure", "Title", plan=FigurePlan(by_format=True, claims=claims))
    check_layout(kept[-1])
    titles = [panel.get_title(loc="left") for panel in kept[-1].axes]
    assert titles == [
        "plain, structure-free",
        "plain+spaces, structure-free",
        "plain, structure-aware",
        "plain+spaces, structure-aware",
        "plain+recursive, algorithm-supervised",
    ]
    said = [{text.get_text() for text in panel.texts} for panel in kept[-1].axes]
    assert ["Here: 5" in texts for texts in said] == [True, False, True, False, False]
    assert all("Some: 4 digits" in texts and "Far" not in texts for texts in said)
    # One encoding is drawn alike in every panel.
    lines = [panel.lines[0].get_color() for panel in kept[-1].axes if panel.get_title(loc="left").endswith("free")]
    assert len(set(lines)) == 1
    draw_accuracy(drawn, tmp_path / "figure")
    assert [panel.get_title(loc="left").partition(":")[0] for panel in kept[-1].axes] == [
        "structure-free",
        "structure-aware",
        "algorithm-supervised",
    ]


def test_the_csv_has_all_that_a_paper_says(tmp_path: Path) -> None:
    cells = [cell(digits=d, correct=c, seed=s) for d in (4, 8) for s, c in enumerate((400, 390, 400))]
    files = draw_accuracy(curves(cells, "random"), tmp_path / "figure")
    row = list(csv.DictReader(files[3].open()))[1]
    assert (row["median"], row["worst"], row["best"]) == ("1", "0.975", "1")
    assert row["accuracy_by_seed"] == "0:1 1:0.975 2:1"
    assert (row["reaches"], row["seeds_succeeded"], row["fitted"]) == ("0", "2", "False")
    assert float(row["band_low"]) <= 1


def test_a_long_title_is_written_smaller(tmp_path: Path, kept: list[Figure]) -> None:
    draw_accuracy(curves([cell(digits=digits) for digits in (1, 4, 9)], "random"), tmp_path / "figure", "A title " * 12)
    check_layout(kept[-1])
