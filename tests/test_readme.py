"""What the README says works."""

import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from arith.catalogue.entries import ALIASES, ENCODINGS, SCHEMES
from arith.cli import cli
from arith.results.curves import curves
from arith.results.schema import GRID, Results
from arith.results.tables import accuracy_table
from arith.results.uncertainty import percent

README = (Path(__file__).parent.parent / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)
SHELL = [
    line.partition(" #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.S)
    for line in block.splitlines()
    if line.startswith(".venv/bin/arith")
]


def test_first_lines_are_the_two_commands() -> None:
    assert README.index("make demo") < README.index("make test") < 400


def test_numbers_are_those_of_the_committed_results(root: Path) -> None:
    cells = Results.load(root / "results" / "extrapolation.json").cells
    assert accuracy_table(curves(cells, "random")) in README
    window = [cell for cell in cells if cell.label == "coupled-window"]
    assert all(cell.correct == cell.n for cell in window)
    seconds = sorted(cell.training_seconds for cell in window)
    words = " ".join(README.split())
    assert f"({window[0].parameters:,} parameters, one layer, {seconds[0]:.0f}-{seconds[-1]:.0f} s of training" in words
    assert f"no error in {sum(cell.n for cell in window):,} test problems" in words
    for n in (1000, 400):
        lowest = min(cell.low for cell in window if cell.n == n)
        assert f"{percent(lowest)}% (n = {n:,}" in words


@pytest.mark.parametrize(
    ("recipe", "label", "digits"),
    [
        ("thousand-digits", "coupled-window", 1000),
        ("fixed-width", "fixed-width", 12),
        ("multiplication-looped", "multiplication-looped", 50),
        ("multiplication-two-digits", "multiplication-two-digits", 60),
        ("multiplication-answers", "summed", 3),
        ("multiplication-five-digits", "summed", 5),
    ],
)
def test_what_models_reach_is_what_results_say(root: Path, recipe: str, label: str, digits: int) -> None:
    (row,) = [line for line in README.splitlines() if line.endswith(f"| `{recipe}` |")]
    cells = [
        cell
        for cell in Results.load(root / "results" / f"{recipe}.json").cells
        if (cell.label, cell.digits) == (label, digits) and cell.suite != GRID
    ]
    by_seed = {
        seed: min(cell.accuracy for cell in cells if cell.model_seed == seed)
        for seed in {cell.model_seed for cell in cells}
    }
    assert len(by_seed) == 5
    assert f"| {percent(statistics.median(by_seed.values()))} ({percent(min(by_seed.values()))}) |" in row
    assert f"| {cells[0].parameters:,} |" in row
    assert "{}-{} digits |".format(*cells[0].train_lengths) in row


def test_python_runs(tmp_path: Path) -> None:
    library = next(block for block in PYTHON if "attention(" in block)
    ran = subprocess.run([sys.executable, "-c", library], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = next(block for block in PYTHON if "@ENCODINGS.register" in block)
    assert len([line for line in own.splitlines() if line]) <= 16, "fifteen lines, and a docstring for the file"
    (tmp_path / "tilt.py").write_text(own)
    assert len(SHELL) >= 9
    for line in SHELL:
        arguments = shlex.split(line)[1:]
        if "--steps" in arguments:
            arguments[arguments.index("--steps") + 1] = "20"
            arguments += ["--samples", "20", "--test-digits", "1-3"]
        ran = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert ran.exit_code == 0, f"{line}: {ran.output}"


@pytest.mark.parametrize("name", [*ALIASES, *ENCODINGS.names()])
def test_every_encoding_is_in_the_table(name: str) -> None:
    if not name.startswith(("test-", "doctest", "tilt")):
        assert f"| `{name}` |" in README
    if name in ALIASES:
        assert ALIASES[name][0] in README


@pytest.mark.parametrize("name", SCHEMES.names())
def test_every_scheme_is_in_the_table(name: str) -> None:
    assert f"| `@{name}` |" in README or name.startswith(("test-", "doctest"))


def test_linked_files_are_there(root: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / target).exists(), target
