"""Figures: what they show, that nothing is cut or covered, and that they look as they did."""

import csv
import itertools
import json
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from matplotlib import image, pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text

from arith.errors import RunError, UsageError
from arith.evaluation.failures import CLASSES
from arith.figures import style
from arith.figures.accuracy import draw_accuracy
from arith.figures.attention import draw_attention
from arith.figures.error_classes import draw_anatomy
from arith.figures.grid import draw_grids
from arith.figures.labels import spread
from arith.figures.terminal import accuracy_text, grid_text
from arith.figures.training import Training, draw_training, read_training
from arith.results.curves import curves
from arith.results.error_classes import pool_anatomies
from arith.results.figure_plan import Claim, FigurePlan
from arith.results.grids import grids, summary
from arith.results.schema import Anatomy, Cell, Results
from arith.results.uncertainty import band, wilson

Arith = Callable[..., Result]


def cell(label: str = "rope", digits: int = 4, correct: int = 400, n: int = 400, **changes: object) -> Cell:
    low, high = wilson(correct, n)
    seed = changes.pop("seed", 0)
    values = {
        **{"label": label, "task": "addition", "format": "padded", "encoding": label, "suite": "random"},
        **{"structure_aware": "coupled" in label, "split": "test", "train_lengths": (1, 4), "digits": digits},
        **{"operand_lengths": (digits, digits), "model_seed": seed, "data_seed": seed, "test_seed": 1, "step": 10},
        **{"samples": 1280, "parameters": 1000, "n": n, "correct": correct, "accuracy": correct / n, "low": low},
        **{"high": high, "seen": 0, "training_seconds": 1.0},
    }
    return Cell(**{**values, **changes})  # type: ignore[arg-type]


def grid_cells(label: str, most: int, share: Callable[[int, int], float]) -> list[Cell]:
    pairs = itertools.product(range(1, most + 1), repeat=2)
    return [cell(label, max(p), round(40 * share(*p)), 40, suite="grid", operand_lengths=p) for p in pairs]


def anatomy(label: str, digits: int, wrong: int, suite: str = "random", n: int = 200) -> Anatomy:
    counts = {name: wrong // 6 + (wrong % 6 if place == 0 else 0) for place, name in enumerate(CLASSES)}
    positions = tuple((n - wrong * place // (digits + 2), n) for place in range(digits + 2))
    chains = tuple((length, (n - wrong) // (digits + 1), n // (digits + 1)) for length in range(digits + 1))
    return Anatomy(label, suite, digits, 0, 0, n, counts, positions, chains)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that are drawn, still open, and not saved."""
    figures: list[Figure] = []
    close = pyplot.close
    monkeypatch.setattr(pyplot, "close", figures.append)
    monkeypatch.setattr(style, "FORMATS", ())
    yield figures
    for figure in figures:
        close(figure)


def check_layout(figure: Figure) -> None:
    """No text is cut off by the edge, and none covers another."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    page = figure.bbox
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    ticks = [tick for axis in axes for tick in (*axis.majorTicks, *axis.minorTicks)]
    # Ticks beyond an axis's limits are there, and not drawn.
    hidden = {id(label) for tick in ticks for label in (tick.label1, tick.label2)}
    hidden -= {id(tick.label1) for axis in axes for tick in axis._update_ticks()}  # type: ignore[attr-defined]
    shown = [text for text in texts if text.get_visible() and text.get_text().strip() and id(text) not in hidden]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in shown]
    assert boxes
    for words, box in boxes:
        assert box.x0 >= page.x0 - 1, f"{words!r} is cut at the left"
        assert box.x1 <= page.x1 + 1, f"{words!r} is cut at the right"
        assert box.y0 >= page.y0 - 1, f"{words!r} is cut below"
        assert box.y1 <= page.y1 + 1, f"{words!r} is cut above"
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or down <= 1, f"{one!r} and {other!r} cover each other"


LONG = "randomized-rope@coupled:origin=random"


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


def test_other_figures_are_not_cut_or_covered_either(tmp_path: Path, kept: list[Figure]) -> None:
    for count, most in ((1, 3), (1, 30), (4, 12)):
        cells = [own for place in range(count) for own in grid_cells(f"enc-{place}", most, lambda a, b: a < b)]
        draw_grids(grids(cells), tmp_path / "grid", "Title")
        check_layout(kept[-1])
    for count in (1, 12):
        runs = [
            Training(f"run-{place}", {"loss": [(s, 2.0 / s) for s in (50, 100, 900)], "accuracy": [(900, 1.0)]})
            for place in range(count)
        ]
        draw_training(runs, tmp_path / "training", "Title")
        check_layout(kept[-1])
    for labels, lengths in ((1, (3,)), (3, (1, 2, 3, 5, 8, 20, 50, 100)), (1, tuple(range(1, 30)))):
        found = [anatomy(f"encoding-{label}", d, 6 * d) for label in range(labels) for d in lengths if 6 * d <= 200]
        draw_anatomy(pool_anatomies(found, "random"), tmp_path / "anatomy", "Title")
        check_layout(kept[-1])
    for heads, tokens in ((1, 6), (4, 16), (1, 60)):
        weights = np.tril(np.ones((heads, tokens, tokens)))
        draw_attention("5" * tokens, (weights, weights), tmp_path / "attention", [(0, 0), (1, 0)])
        check_layout(kept[-1])


@pytest.mark.parametrize(("heads", "loops", "layers"), [(1, 2, 1), (4, 3, 1), (12, 10, 11)])
def test_titles_of_a_looped_models_maps_do_not_overlap(
    heads: int, loops: int, layers: int, tmp_path: Path, kept: list[Figure]
) -> None:
    """Few tokens make small maps, whose titles name the loop, the layer and the head."""
    looped = {(loop, layer) for loop in (loops - 2, loops - 1) for layer in (0, layers - 1)}
    passes = [*sorted(looped), (loops, layers)]
    draw_attention("1+2=3", [np.tril(np.ones((heads, 5, 5)))] * len(passes), tmp_path / "attention", passes)
    titles = [panel.title.get_text() for panel in kept[-1].axes]
    assert f"loop {loops}, layer {layers}, head {heads}" in titles
    assert f"layer {layers + 1}, head {heads}" in titles
    check_layout(kept[-1])


def examples(folder: Path) -> dict[str, list[Path]]:
    """A figure of each kind."""
    shares = {"t5": 0.3, "coupled": 0.7, "nope": 0.0}
    lines = [
        cell(name, digits, 400 if digits < 5 else round(400 * share) - seed * 9 * (share > 0), seed=seed)
        for name, share in shares.items()
        for digits in (1, 4, 8, 20, 100)
        for seed in range(2)
    ]
    steps = [(step, 2.0 ** (-step / 100)) for step in range(50, 850, 50)]
    training = Training("run", {"loss": steps, "accuracy": [(step, 1 - loss) for step, loss in steps[::4]]})
    map_of_head = np.tril(np.arange(64.0).reshape(1, 8, 8)) / 64
    return {
        "accuracy": draw_accuracy(curves(lines, "random"), folder / "accuracy", "Accuracy"),
        "grid": draw_grids(grids(grid_cells("rope", 9, lambda a, b: 1 / max(a, b))), folder / "grid"),
        "training": draw_training([training], folder / "training"),
        "anatomy": draw_anatomy(
            pool_anatomies([anatomy("t5", d, 20 * d) for d in (2, 5, 8)], "random"), folder / "anatomy"
        ),
        "attention": draw_attention("^12+3=51", (map_of_head,), folder / "attention", [(0, 0)]),
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return examples(tmp_path_factory.mktemp("drawn"))


def coarse(path: Path) -> np.ndarray:
    """A picture at a quarter of its size, so that how letters are smoothed does not matter."""
    pixels = image.imread(path)[..., :3]
    height, width = (side // 4 * 4 for side in pixels.shape[:2])
    return pixels[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3))


def test_figures_look_as_they_did(drawn: dict[str, list[Path]], root: Path) -> None:
    """To take new looks, look at them first, then: ARITH_NEW_LOOKS=1 pytest -k look_as_they_did."""
    for name, files in drawn.items():
        now, golden = coarse(files[0]), root / "tests" / "golden" / "figures" / f"{name}.png"
        if "ARITH_NEW_LOOKS" in os.environ:
            golden.parent.mkdir(exist_ok=True)
            image.imsave(golden, now)
        before = image.imread(golden)[..., :3]
        assert now.shape == before.shape, name
        assert np.abs(now - before).mean() < 0.004, f"{name} looks otherwise"


def test_figures_are_the_same_bytes_each_time(drawn: dict[str, list[Path]], tmp_path: Path) -> None:
    second = examples(tmp_path)
    for name, files in drawn.items():
        assert [path.suffix for path in files] == [".png", ".pdf", ".svg", ".csv"]
        for one, other in zip(files, second[name], strict=True):
            assert one.read_bytes() == other.read_bytes(), one.name
        ElementTree.parse(files[2])
        assert len(list(csv.reader(files[3].open()))) > 1


def test_a_figure_that_differs_is_seen(tmp_path: Path) -> None:
    one = draw_accuracy(curves([cell(digits=d) for d in (1, 4, 9)], "random"), tmp_path / "one")
    other = draw_accuracy(curves([cell(digits=d, correct=300) for d in (1, 4, 9)], "random"), tmp_path / "other")
    assert np.abs(coarse(one[0]) - coarse(other[0])).mean() > 0.004


def test_bands_are_those_of_the_binomial_and_of_seeds() -> None:
    alone = band([cell(correct=200)])
    assert alone == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.01)
    assert band([cell(correct=400)]) == (1.0, 1.0)
    assert band([cell(correct=0)]) == (0.0, 0.0)
    apart = band([cell(correct=correct, seed=seed) for seed, correct in enumerate((0, 200, 400))])
    assert apart == (0.0, 1.0)
    near = band([cell(correct=200, seed=seed) for seed in range(5)])
    assert near[1] - near[0] < alone[1] - alone[0]
    assert band([cell(correct=200)]) == alone


def test_the_csv_has_all_that_a_paper_says(tmp_path: Path) -> None:
    cells = [cell(digits=d, correct=c, seed=s) for d in (4, 8) for s, c in enumerate((400, 390, 400))]
    files = draw_accuracy(curves(cells, "random"), tmp_path / "figure")
    row = list(csv.DictReader(files[3].open()))[1]
    assert (row["median"], row["worst"], row["best"]) == ("1", "0.975", "1")
    assert row["accuracy_by_seed"] == "0:1 1:0.975 2:1"
    assert (row["reaches"], row["seeds_succeeded"], row["fitted"]) == ("0", "2", "False")
    assert float(row["band_low"]) <= 1


def test_grids_take_medians_and_leave_holes(tmp_path: Path) -> None:
    cells = [
        cell("x", max(a, b), correct, 40, suite="grid", operand_lengths=(a, b), seed=seed)
        for (a, b), row in {(1, 1): (40, 40, 40), (1, 9): (0, 20, 40), (9, 1): (40, 40, 0)}.items()
        for seed, correct in enumerate(row)
    ]
    (grid,) = grids(cells)
    assert grid.accuracy[0].tolist() == [1.0, 0.5]
    assert grid.accuracy[1, 0] == 1.0
    assert np.isnan(grid.accuracy[1, 1])
    assert "trained 1-4: 1 cells, median 100%" in summary(grid)
    rows = list(csv.DictReader(draw_grids([grid], tmp_path / "g")[3].open()))
    assert [(row["first_digits"], row["second_digits"], row["median"], row["worst"]) for row in rows] == [
        ("1", "1", "1", "1"),
        ("1", "9", "0.5", "0"),
        ("9", "1", "1", "0"),
    ]
    with pytest.raises(UsageError, match="no cell is of a grid"):
        grids([cell()])
    with pytest.raises(UsageError, match="different experiments"):
        grids([*cells, cell("x", 2, suite="grid", operand_lengths=(2, 2), step=99)])


def test_text_figures() -> None:
    cells = [cell("a", d, 400 if d < 5 else 0) for d in (1, 4, 8)] + [cell("b", d, 200) for d in (1, 4, 8)]
    lines = accuracy_text(curves(cells, "random")).splitlines()
    assert lines[0].startswith(" 100% |o")
    assert lines[8].startswith("  50% |x")
    assert lines[16].rstrip().endswith("o")
    assert set(lines[17].strip(" +")) == {"=", "-"}
    assert "x b (1 seed, unfitted, 50%)" in lines[-1]
    text = grid_text(grids(grid_cells("a", 6, lambda a, b: a <= b))[0]).splitlines()
    assert text[1] == "    6 |" + "   " * 5 + " @ "
    assert text[6].startswith("    1 |[@][@][@][@] @  @")
    assert max(map(len, grid_text(grids(grid_cells("a", 130, lambda a, b: 1))[0]).splitlines())) < 200


@pytest.mark.parametrize(("wanted", "heights"), [([0, 0, 0, 0], [1, 2, 1, 1]), ([5, 5.1, 9.9], [1, 1, 3]), ([0], [1])])
def test_labels_are_spread_without_overlap(wanted: Sequence[float], heights: Sequence[float]) -> None:
    centres = spread(wanted, heights, 0, 10)
    edges = [(c - h / 2, c + h / 2) for c, h in zip(centres, heights, strict=True)]
    assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(edges))
    assert edges[0][0] >= 0
    assert edges[-1][1] <= 10


def test_plot_draws_each_kind_from_its_file(arith: Arith, tmp_path: Path) -> None:
    cells = [*(cell(digits=d, correct=400 if d < 5 else 0) for d in (1, 4, 9)), *grid_cells("rope", 3, lambda a, b: 1)]
    Results(tuple(cells), {}, (anatomy("rope", 9, 60),)).save(tmp_path / "evaluation.json")
    for kind in ("accuracy", "grid", "anatomy"):
        drawn = arith("plot", "evaluation.json", "--kind", kind, "--out", f"new/{kind}")
        assert drawn.exit_code == 0, drawn.output
        assert len(list((tmp_path / "new").glob(f"{kind}.*"))) == 4
    assert "100% |" in arith("plot", "evaluation.json", "--terminal").stdout
    assert "[@]" in arith("plot", "evaluation.json", "--terminal", "--kind", "grid").stdout
    (tmp_path / "run").mkdir()
    rows = [{"step": 50, "seconds": 1.0, "loss": 0.5}, {"step": 100, "loss": 0.2, "accuracy": 0.9}]
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert read_training(tmp_path / "run") == Training(
        "run", {"loss": [(50, 0.5), (100, 0.2)], "accuracy": [(100, 0.9)]}
    )
    drawn = arith("plot", "run", "--kind", "training")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "training.svg").stat().st_size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy": float("nan")}, "x.json, cell 1: field 'accuracy' is a number, got nan"),
        ({"accuracy": 0.5}, "x.json, cell 1: field 'accuracy' cannot be so"),
        ({"low": 0.999}, "x.json, cell 1: field 'low' cannot be so"),
        ({"n": 0}, "x.json, cell 1: field 'n' cannot be so"),
        ({"correct": "7"}, "x.json, cell 1: field 'correct' is a whole number, got '7'"),
        ({"train_lengths": [1]}, "x.json, cell 1: field 'train_lengths' is"),
        ({"colour": 1}, "x.json, cell 1: field 'colour' is unknown"),
    ],
)
def test_results_that_cannot_be_are_refused_by_file_and_field(
    arith: Arith, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    Results((cell(digits=1, correct=300), cell(digits=2, correct=300))).save(tmp_path / "x.json")
    values = json.loads((tmp_path / "x.json").read_text())
    values["cells"][1] |= change
    (tmp_path / "x.json").write_text(json.dumps(values))
    refused = arith("plot", "x.json")
    assert refused.exit_code == 2
    assert message in " ".join(refused.stderr.split())
    assert not list(tmp_path.glob("*.png"))


def test_other_mistakes_are_told(arith: Arith, tmp_path: Path) -> None:
    Results((cell(),)).save(tmp_path / "one.json")
    newer = (tmp_path / "one.json").read_text().replace('"version": 1', '"version": 2')
    (tmp_path / "newer.json").write_text(newer)
    (tmp_path / "empty.json").write_text('{"version": 1, "cells": []}')
    (tmp_path / "list.json").write_text('{"version": 1, "cells": {}}')
    (tmp_path / "m.jsonl").write_text('{"step": 1, "loss": NaN}\n')
    (tmp_path / "n.jsonl").write_text('{"step": 1}\n')
    for command, message in (
        ("plot one.json newer.json", "newer.json is of schema version 2, and this arith reads 1"),
        ("plot empty.json", "no results on suite 'random' in empty.json. Suites there: none"),
        ("plot one.json --suite chain", "no results on suite 'chain' in one.json. Suites there: random"),
        ("plot list.json", "list.json: 'cells' is a list"),
        ("plot one.json --kind grid", "one.json: no cell is of a grid of operand lengths. One is measured by"),
        ("plot one.json --kind anatomy", "one.json: no anatomy of answers to suite 'random'. It is kept by"),
        ("plot one.json --kind training", "one.json, line 1, is no JSON"),
        ("plot m.jsonl --kind training", "m.jsonl, line 1: field 'loss' is a number, got nan"),
        ("plot n.jsonl --kind training", "n.jsonl holds no loss and no accuracy"),
        ("plot gone --kind training", "gone cannot be read"),
        ("plot one.json --kind anatomy --terminal", "--terminal draws accuracy and grids"),
        ("plot one.json --suite grid", "no suite is called 'grid'"),
    ):
        refused = arith(*command.split())
        assert refused.exit_code == 2, f"{command}: {refused.output}"
        assert message in " ".join(refused.stderr.split()), command


def test_a_figure_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="cannot be written"):
        style.save_figure(pyplot.figure(), tmp_path / "file" / "figure")


def test_a_long_title_is_written_smaller(tmp_path: Path, kept: list[Figure]) -> None:
    draw_accuracy(curves([cell(digits=digits) for digits in (1, 4, 9)], "random"), tmp_path / "figure", "A title " * 12)
    check_layout(kept[-1])
