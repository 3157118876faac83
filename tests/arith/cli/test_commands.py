"""The command line, as a user meets it."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

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


def test_a_right_answer_is_called_right(arith: Arith, tmp_path: Path) -> None:
    small = ["--set", "model.width=32", "--set", "training.evaluate_every=300"]
    arith(
        "train",
        "addition",
        "--steps",
        "500",
        "--digits",
        "1-2",
        "--test-digits",
        "1-2",
        "--samples",
        "5",
        "--out",
        "run",
        *small,
    )
    replies = [json.loads(line) for line in arith("ask", "run", "12+34", "7+5", "90+9", "--json").stdout.splitlines()]
    assert all(reply["right"] == (reply["answer"] == reply["result"]) for reply in replies)
    assert any(reply["right"] for reply in replies)


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
        ("train --set evaluation.digits=[0,5]", "evaluation.digits are 1 or more"),
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


def test_ctrl_c_saves_and_exits_130(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "arith", "train", "--steps", "100000", "--out", str(tmp_path / "run")]
    running = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    assert "train coupled-window" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    rest = running.communicate(timeout=60)[1]
    assert running.returncode == 130, rest
    assert f"train --resume --out {tmp_path / 'run'}" in rest
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))


def test_folders_that_cannot_be_are_refused(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "is a file, and a run is a folder" in arith("train", *SMALL, "--out", "file").stderr
    arith("train", *SMALL, "--out", "run")
    missing = arith("evaluate", "run", "--out", "no/such/folder.json")
    assert missing.exit_code == 2
    assert "there is no folder no/such" in missing.stderr
    (tmp_path / "run" / "run.json").write_text("{}")
    assert "describes no run" in arith("ask", "run", "1+1").stderr


@pytest.mark.parametrize(
    ("encoding", "longer"),
    [
        ("alibi", True),
        ("fire", True),
        ("t5@coupled", True),
        ("sandwich+rope", True),
        ("learned", False),
        ("coupled", False),
        ("alibi+rope-yarn:trained=10", False),
    ],
)
def test_tests_may_be_longer_where_tables_are_computed(arith: Arith, encoding: str, longer: bool) -> None:
    arith("train", *SMALL, "--encoding", encoding, "--out", "run")
    tested = arith("evaluate", "run", "--test-digits", "30", "--samples", "9")
    assert tested.exit_code == (0 if longer else 2), tested.output
    assert longer or "is beyond this model" in " ".join(tested.stderr.split())


def test_a_model_that_never_ends_its_number_has_no_answer(arith: Arith) -> None:
    trained = arith(
        *("train", "addition", "--format", "reversed+groups:size=1", "--encoding", "learned@abacus", "--model", "nano"),
        *("--digits", "1-2", "--test-digits", "2", "--samples", "9", "--steps", "3", "--out", "run"),
    )
    assert trained.exit_code == 0, trained.output
    asked = arith("ask", "run", "12+34", "99+1", "0+0", "--json")
    assert asked.exit_code == 0, asked.output


def test_tests_may_be_of_another_task_and_format(arith: Arith, tmp_path: Path) -> None:
    trained = arith(
        *("train", "dialogue", "--format", "plain+spaces:answer=true", "--encoding", "rope", "--model", "nano"),
        *("--digits", "1-2", "--test-digits", "2", "--samples", "20", "--steps", "3", "--batch", "8", "--out", "run"),
        *("--set", "data.mix=50% addition 1-3", "--set", "data.samples=16", "--set", "training.evaluate_samples=8"),
    )
    assert trained.exit_code == 0, trained.output
    assert json.loads((tmp_path / "run" / "results.json").read_text())["cells"][0]["samples"] == 16
    asked = arith("ask", "run", "12+34", "--json")
    assert json.loads(asked.stdout)["prompt"].startswith("Student: ")
    for task, form in (("addition", "plain"), ("dialogue:templates=seen", "plain+groups:size=1")):
        asked = ("--task", task, "--format", form, "--samples", "9", "--json", "--out", f"{task[:8]}.json")
        tested = arith("evaluate", "run", *asked)
        assert tested.exit_code == 0, tested.output
        assert {(cell["task"], cell["format"]) for cell in json.loads(tested.stdout)["cells"]} == {(task, form)}
    refused = arith("evaluate", "run", "--task", "addition", "--format", "plain+hints", "--out", "hints.json")
    assert refused.exit_code == 2
    assert "symbols that this model was not trained with: it has 79 tokens" in refused.stderr


def test_evaluation_leaves_the_runs_results_alone(arith: Arith, tmp_path: Path) -> None:
    arith("train", *SMALL, "--out", "run")
    before = (tmp_path / "run" / "results.json").read_bytes()
    shown = arith("evaluate", "run", "--test-digits", "2", "--samples", "9")
    assert "95% interval" in shown.stdout
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    announced = arith("evaluate", "run", "--test-digits", "2", "--samples", "9", "--dry-run")
    assert "random 2 digits, 9 problems" in announced.stdout


def test_existing_runs_are_kept(arith: Arith) -> None:
    assert arith("train", *SMALL, "--out", "run").exit_code == 0
    again = arith("train", *SMALL, "--out", "run")
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    assert arith("train", "--resume", "--out", "run").exit_code == 0
    changed = arith("train", "--resume", "--out", "run", "--learning-rate", "0.5")
    assert "learning_rate: 0.003 before, 0.5 now" in changed.stderr
    assert arith("train", *SMALL, "--out", "run", "--overwrite").exit_code == 0


@pytest.mark.parametrize("problem", ["12*3", "1+", "x+1", "-1+2"])
def test_problems_that_are_none_are_refused(arith: Arith, problem: str) -> None:
    arith("train", *SMALL, "--out", "run")
    result = arith("ask", "run", "--", problem)
    assert result.exit_code == 2
    assert "such as 12+34" in result.stderr


def test_a_problem_beyond_the_models_reach_is_refused(arith: Arith) -> None:
    arith("train", *SMALL, "--encoding", "learned", "--out", "run")
    result = arith("ask", "run", "123456789+1")
    assert result.exit_code == 2
    assert "has position ids up to" in result.stderr


def test_command_line_over_environment_over_recipe(arith: Arith) -> None:
    def steps(*arguments: str, **environment: str) -> int:
        shown = arith("train", "--recipe", "extrapolation:rope", "--dry-run", "--json", *arguments, **environment)
        found: int = json.loads(shown.stdout)["config"]["training"]["steps"]
        return found

    assert steps() == 2400
    assert steps(ARITH_TRAIN_STEPS="70") == 70
    assert steps("--steps", "50", ARITH_TRAIN_STEPS="70") == 50
    assert steps("--set", "training.steps=60") == 60


def test_generated_lines_hold_what_is_promised(arith: Arith) -> None:
    written = arith(
        "generate", "multiplication", "--format", "padded-reversed:width=3", "--digits", "1-3", "--samples", "20"
    )
    lines = [json.loads(line) for line in written.stdout.splitlines()]
    assert len(lines) == 20
    for line in lines:
        a, b = map(int, line["operands"])
        assert int(line["result"]) == a * b
        assert line["prompt"] == f"{a:03}*{b:03}="
        assert line["answer"] == f"{a * b:06}"[::-1]
        assert line["digits"] == max(len(str(a)), len(str(b)))
        assert (line["task"], line["format"]) == ("multiplication", "padded-reversed:width=3")
    assert (
        arith("generate", "multiplication", "--digits", "1-3").stdout
        == arith("generate", "multiplication", "--digits", "1-3").stdout
    )


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


def test_lists_are_complete(arith: Arith) -> None:
    from arith.tasks import formats, suites

    found = json.loads(arith("list", "--json").stdout)
    added = {name for name in found["formats"] if name.startswith("+")}
    assert {"+hints", "+spaces", "+groups", "+recursive", "+partial-products"} < added
    assert {name: found["formats"][name] for name in formats.NAMED} == {
        "plain": "12+345=357",
        "reversed": "12+345=753",
        "all-reversed": "21+543=753",
        "padded": "012+345=0357",
        "padded-reversed": "012+345=7530",
        "padded-all-reversed": "210+543=7530",
        "interleaved": "+031425=0357",
        "interleaved-reversed": "+031425=7530",
        "interleaved-all-reversed": "+251403=7530",
    }
    assert set(found["suites"]) == set(suites.SUITES)
    assert "coupled-window" in found["encodings"]
    assert "@coupled" in found["schemes"]


def test_show_batch_explains_tokens(arith: Arith) -> None:
    shown = arith(
        "show", "batch", "addition", "--format", "reversed", "--encoding", "abacus+rope", "--rows", "1"
    ).stdout
    lines = [line.split() for line in shown.splitlines()]
    assert lines[0][:2] == ["token", "^"]
    assert [line[0] for line in lines[:5]] == ["token", "token", "abacus", "sequential", "learned"]


def test_the_module_runs(root: Path) -> None:
    ran = subprocess.run([sys.executable, "-m", "arith", "--version"], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0
    assert "0.1.0" in ran.stdout
