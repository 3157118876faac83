"""What figures of every kind have in common: nothing is cut or covered, and they look as they did."""

import csv
import os
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image, pyplot
from matplotlib.figure import Figure

from arith.errors import UsageError
from arith.figures import style
from arith.figures.accuracy import draw_accuracy
from arith.figures.attention import draw_attention
from arith.figures.error_classes import draw_anatomy
from arith.figures.grid import draw_grids
from arith.figures.training import Training, draw_training
from arith.results.curves import curves
from arith.results.error_classes import pool_anatomies
from arith.results.grids import grids
from tests.arith.drawn import draw_each
from tests.arith.examples import anatomy, cell, grid_cells
from tests.arith.figures.layout import check_layout


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
    second = draw_each(tmp_path)
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


def test_a_figure_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="cannot be written"):
        style.save_figure(pyplot.figure(), tmp_path / "file" / "figure")


def test_characters_that_the_font_lacks_are_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    style._report_missing.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("one", "other"):
            draw_accuracy(curves([cell("\u6f22\u5b57", d) for d in (1, 4)], "random"), tmp_path / name, "\u6f22")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "lacks \u6f22\u5b57" in said


@pytest.mark.parametrize("name", [".", "..", ""])
def test_a_folder_is_no_figures_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="named without an ending"):
        style.save_figure(pyplot.figure(), Path(name))
    assert not [*tmp_path.iterdir()]
