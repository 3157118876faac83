"""The figure of what models give to the words of dialogue."""

from pathlib import Path

from arith.figures.language import draw_language
from arith.results.measurement import Language


def test_the_figure_names_every_curve(tmp_path: Path) -> None:
    rows = [
        Language(label, "rope", wording, seed, seed, 1, 100, 20, 30.0 + seed)
        for label in ("a", "b")
        for wording in ("held-out", "seen")
        for seed in range(3)
    ]
    *_, table = draw_language(rows, tmp_path / "words")
    assert table.read_text().splitlines()[1].startswith("a,rope,held-out,0,0,1,100,20,0.43280")
