"""Every recipe of docs/adding.md runs as it stands, from the command line."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from arith.catalogue import DECORATIONS, ENCODINGS, SCHEMES, TASKS
from arith.cli import cli
from arith.results.schema import Results

PAGE = (Path(__file__).parent.parent / "docs" / "adding.md").read_text()
RECIPES = dict(re.findall(r"```python (\w+)\n(.*?)```", PAGE, re.S))
SMALL = ("--steps", "2", "--batch", "4", "--digits", "1-2", "--test-digits", "1-2", "--samples", "4")


@pytest.fixture(autouse=True)
def forget_what_is_added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other tests look at all that is registered, such as those of the gallery."""
    imported = set(sys.modules)
    for catalogue in (DECORATIONS, ENCODINGS, SCHEMES, TASKS):
        for part in ("_targets", "_lines"):
            monkeypatch.setattr(catalogue, part, dict(getattr(catalogue, part)))
    yield
    # A file that is imported already is not run again, and would register nothing in the next test.
    for name in set(sys.modules) - imported:
        if name.startswith("arith_imported_"):
            del sys.modules[name]


def test_there_is_a_recipe_for_each_thing_that_can_be_added() -> None:
    assert list(RECIPES) == ["task", "decoration", "scheme", "encoding", "term", "figure"]
    assert all(len(code.strip().splitlines()) <= 32 for code in RECIPES.values())


@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("task", ("larger", "--format", "padded-reversed", "--encoding", "rope"), "="),
        ("decoration", ("addition", "--format", "reversed+framed", "--encoding", "rope"), "="),
        ("scheme", ("addition", "--format", "padded-reversed", "--encoding", "rope@pairs"), "pairs position"),
        ("encoding", ("addition", "--format", "padded-reversed", "--encoding", "slope:farthest=32"), "="),
        ("term", ("addition", "--format", "padded-reversed", "--encoding", "rope+capped:cap=20"), "="),
    ],
)
def test_what_is_added_trains_is_tested_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: tuple[str, ...], shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(RECIPES[name])

    def arith(*arguments: str) -> str:
        ran = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert ran.exit_code == 0, ran.output
        return ran.output

    assert shown in arith("show", "batch", *options, "--import", "mine.py", "--digits", "1-2")
    arith("train", *options, *SMALL, "--import", "mine.py", "--out", "run")
    assert {cell.n for cell in Results.load(tmp_path / "run" / "results.json").cells} == {4}
    assert "12" in arith("ask", "run", "12>4" if name == "task" else "12+4")
    assert "operands swapped" in arith("probe", "run", "--samples", "4")


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "reversed+scratchpad"),
        ("--format", "reversed+partial-products"),
        ("--format", "reversed", "--set", "data.carry_mix=0.2"),
        ("--format", "padded-reversed", "--set", "auxiliary.kind=running-sum", "--set", "model.layers=2"),
    ],
    ids=["scratchpad", "partial products", "carry-heavy problems", "running sums"],
)
def test_what_needs_an_operation_says_what_a_task_would_have_to_declare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(RECIPES["task"])
    arguments = ["train", "larger", "--encoding", "rope", *options, *SMALL, "--import", "mine.py"]
    message = re.sub(r"[│\s]+", " ", CliRunner().invoke(cli, arguments).output)
    assert 'larger (which declares no operation, such as operation = "sum")' in message


def test_an_added_task_is_solved_exactly() -> None:
    space: dict[str, Any] = {"__name__": "mine"}
    exec(RECIPES["task"].replace('@TASKS.register("larger")\n', ""), space)
    numbers = space["Numbers"]
    solved = space["Larger"]().solve(numbers.of([9, 17, 5]), numbers.of([10, 4, 5]))
    assert [solved.text(row) for row in range(3)] == ["10", "17", "5"]


def test_an_added_figure_is_drawn_from_published_results(root: Path, tmp_path: Path) -> None:
    space: dict[str, Any] = {"__name__": "mine"}
    exec(RECIPES["figure"], space)
    files = space["draw_seeds"](Results.load(root / "results" / "extrapolation.json"), tmp_path / "seeds")
    assert {file.suffix for file in files} >= {".png", ".svg"}
    assert all(file.stat().st_size for file in files)
