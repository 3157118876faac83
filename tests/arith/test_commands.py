"""The command line from end to end, as a user meets it: every room takes part."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith import __version__
from arith.cli import cli
from arith.results.schema import Results

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


@pytest.mark.parametrize("command", ["", *sorted(cli.commands), "show batch"])
def test_every_command_helps(arith: Arith, command: str) -> None:
    shown = arith(*command.split(), "--help")
    assert shown.exit_code == 0
    assert "Usage" in shown.output


def test_train_ask_evaluate_plot(arith: Arith, tmp_path: Path) -> None:
    trained = arith("train", "addition", "--encoding", "rope", *SMALL, "--out", "run")
    assert trained.exit_code == 0, trained.output
    for name in ("run.json", "metrics.jsonl", "results.json", "figures/accuracy.png", "figures/accuracy.csv"):
        assert (tmp_path / "run" / name).stat().st_size
    assert "arith ask run" in trained.stdout

    asked = arith("ask", "run", "12+34", "--json")
    reply = json.loads(asked.stdout)
    assert reply["prompt"] == "12+34="
    assert reply["result"] == "46"
    assert reply["right"] == (reply["answer"] == "46" and reply["written"] == "640$")

    evaluated = arith(
        "evaluate", "run", "--test-digits", "2", "--suites", "chain", "--samples", "7", "--out", "other.json"
    )
    assert evaluated.exit_code == 0, evaluated.output
    (cell,) = Results.load(tmp_path / "other.json").cells
    assert (cell.suite, cell.digits, cell.n) == ("chain", 2, 7)

    drawn = arith("plot", "run", "other.json", "--out", "figure")
    assert drawn.exit_code == 0
    assert {path.suffix for path in tmp_path.glob("figure.*")} == {".png", ".pdf", ".svg", ".csv"}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train addition --encoding abacuss", "no encoding is called 'abacuss'. Did you mean 'abacus'?"),
        ("train additon", "no task is called 'additon'. Did you mean 'addition'?"),
        (
            "train --format plain --encoding coupled",
            "coupled positions need an answer of known width, and format 'plain'",
        ),
        ("train --digits 0-3", "operands have 1 digit or more"),
        ("train --format padded:width=5 --test-digits 9", "operand of 9 digits does not fit the format's width of 5"),
        ("train --encoding learned@randomized:span=20 --test-digits 50", "too few for sequences of"),
        ("train --set model.layer=3", "no setting is called 'model.layer'. Did you mean 'layers'"),
        ("train --set layers", "--set takes NAME=VALUE"),
        ("train --recipe extrapolaton", "no recipe is called 'extrapolaton'. Did you mean 'extrapolation'?"),
        ("train --recipe extrapolation", "is a figure of several runs. Choose one: extrapolation:LABEL."),
        ("train --recipe extrapolation:ropee", "Did you mean 'rope'?"),
        ("train --resume", "--resume needs --out"),
        ("train --resume --overwrite --out x", "give one of them"),
        ("train --resume --out nowhere", "nowhere holds no run"),
        ("train --import nothing.py", "there is none at"),
        ("train --device tpuu --steps 1", "no device is called 'tpuu'"),
        ("evaluate nowhere", "nowhere holds no run"),
        ("ask nowhere 1+1", "nowhere holds no run"),
        ("plot nowhere.json", "nowhere.json cannot be read"),
        ("reproduce extrapolation --only ropes", "has no curve 'ropes'. Did you mean 'rope'?"),
        ("reproduce extrapolation --seeds 99", "names 5 seeds, got --seeds 99"),
        (
            "generate addition --format paded",
            "no format is called 'paded'. Did you mean 'padded'? Formats: plain, reversed, all-reversed, padded,",
        ),
        ("generate addition --format paded", "Did you mean 'padded'?"),
        ("train --seed -1", "a seed is an integer from 0"),
        ("train --set evaluation.digits=[0,5]", "evaluation.digits is 1 or more, got (0, 5)"),
        ("reproduce extrapolation --all --only rope", "give one of them"),
        ("plot x.json --suite randm", "Did you mean"),
        ("generate addition --digits 3-1", "a range rises"),
        ("show batch addition --encoding rope@", "a position scheme is missing"),
    ],
)
def test_mistakes_exit_2_and_say_what_to_do(arith: Arith, tmp_path: Path, command: str, message: str) -> None:
    result = arith(*command.split())
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert not result.stdout
    assert not list(tmp_path.iterdir()), "nothing is begun"


def task_longest(problem: str) -> str:
    """The problem with operands of the longest length tested, which an untrained model answers with anything."""
    return re.sub(r"\d+", "987", problem)


@pytest.mark.parametrize(
    ("task", "problem", "result"),
    [
        ("subtraction", "12-34", "-22"),
        ("addition:operands=3", "1+2+30", "33"),
        ("multiplication", "12*34", "408"),
        ("reverse", "012", "210"),
        ("copy:distinct=true", "305", "305"),
    ],
)
def test_every_task_trains_and_answers(arith: Arith, tmp_path: Path, task: str, problem: str, result: str) -> None:
    form = "reversed" if task.startswith(("reverse", "copy")) else "padded-reversed"
    trained = arith(
        "train", task, "--format", form, "--encoding", "rope", *SMALL, "--test-digits", "2,3", "--out", "run"
    )
    assert trained.exit_code == 0, trained.output
    assert all(cell.task == task for cell in Results.load(tmp_path / "run" / "results.json").cells)
    assert arith("ask", "run", "--", task_longest(problem)).exit_code == 0
    asked = arith("ask", "run", "--json", "--", problem)
    assert asked.exit_code == 0, asked.output
    assert json.loads(asked.stdout)["result"] == result
    assert arith("generate", task, "--samples", "3", "--format", form).exit_code == 0


def test_the_module_runs(root: Path) -> None:
    ran = subprocess.run([sys.executable, "-m", "arith", "--version"], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0
    assert __version__ in ran.stdout
