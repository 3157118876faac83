"""Every recipe of docs/adding.md runs as it stands, from the command line."""

import json
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from arith.catalogue import DECORATIONS, ENCODINGS, SCHEMES, STUDIES, TASKS
from arith.cli import cli
from arith.results.schema import Results

PAGE = (Path(__file__).parent.parent / "docs" / "adding.md").read_text()
BLOCKS = re.findall(r"```python (\w+)\n(.*?)```\n\n```bash\n(.*?)\n```", PAGE, re.S)
RECIPES = {name: code for name, code, _ in BLOCKS}
COMMANDS = {name: command for name, _, command in BLOCKS}
SMALL = ("--steps", "2", "--batch", "4", "--digits", "1-2", "--test-digits", "1-2", "--samples", "4")


@pytest.fixture(autouse=True)
def forget_what_is_added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other tests look at all that is registered, such as those of the gallery."""
    imported = set(sys.modules)
    for catalogue in (DECORATIONS, ENCODINGS, SCHEMES, STUDIES, TASKS):
        for part in ("_targets", "_lines"):
            monkeypatch.setattr(catalogue, part, dict(getattr(catalogue, part)))
    yield
    # A file that is imported already is not run again, and would register nothing in the next test.
    for name in set(sys.modules) - imported:
        if name.startswith("arith_imported_"):
            del sys.modules[name]


def test_there_is_a_recipe_for_each_thing_that_can_be_added() -> None:
    assert list(RECIPES) == ["task", "decoration", "scheme", "encoding", "term", "study", "figure"]
    assert PAGE.count("\nWhat to test: ") == PAGE.count("```python") == len(RECIPES)
    assert all(len(code.strip().splitlines()) <= 32 for code in RECIPES.values())


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in ("study", "figure")])
def test_what_is_added_trains_is_tested_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    command, subcommand, *options = shlex.split(COMMANDS[name])
    assert (command, subcommand, options[-2]) == ("arith", "train", "--import")
    (tmp_path / options[-1]).write_text(RECIPES[name])

    def arith(*arguments: str) -> str:
        ran = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert ran.exit_code == 0, ran.output
        return ran.output

    shown = arith("show", "batch", *options, "--digits", "1-2")
    assert ("pairs position" if name == "scheme" else "=") in shown
    arith("train", *options, *SMALL, "--out", "run")
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


def test_an_added_task_is_asked_of_models_that_read_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name is answered with "Add your own with --import FILE": then the command has that option."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(RECIPES["task"])
    wanted = ["evaluate", "--task", "larger", "--test-digits", "2", "--suites", "random", "--samples", "3"]
    wrote = CliRunner().invoke(cli, [*wanted, "--prompts", "ask.jsonl", "--import", "mine.py"], catch_exceptions=False)
    assert wrote.exit_code == 0, wrote.output
    rows = [json.loads(line) for line in (tmp_path / "ask.jsonl").read_text().splitlines()]
    assert [row["prompt"][-1] for row in rows] == ["="] * 3
    replies = [{"id": row["id"], "reply": str(max(map(int, re.findall("[0-9]+", row["prompt"]))))} for row in rows]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    scored = ["evaluate", "--replies", "said.jsonl", "--import", "mine.py"]
    assert CliRunner().invoke(cli, scored, catch_exceptions=False).exit_code == 0
    (only,) = Results.load(tmp_path / "said-evaluation.json").cells
    assert only.correct == 3


def test_an_added_task_is_solved_exactly() -> None:
    space: dict[str, Any] = {"__name__": "mine"}
    exec(RECIPES["task"].replace('@TASKS.register("larger")\n', ""), space)
    numbers = space["Numbers"]
    solved = space["Larger"]().solve(numbers.of([9, 17, 5]), numbers.of([10, 4, 5]))
    assert [solved.text(row) for row in range(3)] == ["10", "17", "5"]


def test_an_added_figure_is_drawn_from_published_results(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    python, file, results = shlex.split(COMMANDS["figure"])
    assert python == "python"
    (tmp_path / file).write_text(RECIPES["figure"])
    monkeypatch.setattr(sys, "argv", [file, str(root / results)])
    runpy.run_path(file, run_name="__main__")
    drawn = list(tmp_path.glob("seeds*.*"))
    assert {path.suffix for path in drawn} >= {".png", ".svg"}
    assert all(path.stat().st_size for path in drawn)


def test_tests_that_the_page_names_are_in_the_files_it_names(root: Path) -> None:
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    there = "".join((root / file).read_text() for file in files)
    assert not {name for name in re.findall(r"`(test_\w+)`", PAGE) if f"def {name}(" not in there}


def test_a_study_is_run_by_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (recipe,) = re.findall(r"```toml\n(study.*?)```", PAGE, re.S)
    (tmp_path / "coin.py").write_text(RECIPES["study"])
    (tmp_path / "coin.toml").write_text(recipe)
    ran = CliRunner().invoke(cli, shlex.split(COMMANDS["study"])[1:], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    rows = Results.load(tmp_path / "runs" / "coin" / "results.json").measurements
    assert len(rows) == 2 * 2 * 3
    assert rows[-1].measures["heads"] > 0.6 > rows[2].measures["heads"]
