"""Evaluation of a run by the command: other lengths, tasks and formats, and where results go."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


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


def test_tests_may_be_sharper_than_training(arith: Arith, tmp_path: Path) -> None:
    assert arith("train", *SMALL, "--set", "model.sharpen=log-n", "--out", "run").exit_code == 0
    asked = ("evaluate", "run", "--test-digits", "2", "--suites", "random", "--samples", "9", "--json")
    for options, factor in (
        ([], "log-n"),
        (["--sharpen", "1.4", "--out", "x.json", "--predictions", "x.jsonl"], 1.4),
        (["--sharpen", "log-n"], "log-n"),
    ):
        tested = arith(*asked, *options)
        assert tested.exit_code == 0, tested.output
        assert [cell["sharpen"] for cell in json.loads(tested.stdout)["cells"]] == [factor]
    assert json.loads((tmp_path / "run" / "results.json").read_text())["cells"][0]["sharpen"] == "log-n"
    for options, message in (
        (["--sharpen", "1.4"], "holds results of another test (addition, padded-reversed, test seed 2311, sharpen log"),
        (["--sharpen", "2", "--out", "y.json", "--predictions", "x.jsonl"], "predictions of another model or test"),
        (["--sharpen", "0"], "evaluation.sharpen is above 0, got 0.0"),
        (["--sharpen", "nan"], "evaluation.sharpen is above 0, got nan"),
        (["--sharpen", "log-m"], "evaluation.sharpen is float or log-n, got 'log-m'. Did you mean 'log-n'?"),
    ):
        refused = arith(*asked, *options)
        assert refused.exit_code == 2, refused.output
        assert message in " ".join(refused.stderr.split())
    assert "is for runs of arith" in arith("evaluate", "--prompts", "ask.jsonl", "--sharpen", "2").stderr
    # A resumed run may be tested otherwise than it was, and is not taken for tested.
    factors = ("--set", "model.sharpen=log-n", "--set", "evaluation.sharpen=2")
    assert arith("train", *SMALL, *factors, "--resume", "--out", "run").exit_code == 0
    cells = json.loads((tmp_path / "run" / "results.json").read_text())["cells"]
    assert {(cell["sharpen"], cell["step"]) for cell in cells} == {(2.0, 3)}


def test_tests_may_have_other_loops_than_training(arith: Arith, tmp_path: Path) -> None:
    trained = arith("train", *SMALL, "--set", "model.loops=1-2", "--out", "run")
    assert trained.exit_code == 0, trained.output
    asked = ("evaluate", "run", "--test-digits", "2", "--suites", "random", "--samples", "9", "--json")
    margins = {}
    for loops, told in ((None, None), (2, None), (1, 1), (4, 4)):
        options = [] if loops is None else ["--loops", str(loops)]
        kept = ("--out", f"{loops}.json", "--predictions", f"{loops}.jsonl")
        tested = arith(*asked, *options, *kept)
        assert tested.exit_code == 0, tested.output
        assert [cell["loops"] for cell in json.loads(tested.stdout)["cells"]] == [told]
        rows = (tmp_path / f"{loops}.jsonl").read_text().splitlines()[1:]
        margins[loops] = [json.loads(row)["margin"] for row in rows]
    assert margins[None] == margins[2]
    assert margins[2] != margins[1] != margins[4] != margins[2]
    assert '"loops"' not in (tmp_path / "run" / "results.json").read_text().split('"cells"')[1]
    for options, message in (
        (
            ["--loops", "2", "--out", "4.json"],
            "another test (addition, padded-reversed, test seed 2311, sharpen 1.0, 4",
        ),
        (["--loops", "3", "--out", "y.json", "--predictions", "4.jsonl"], "predictions of another model or test"),
        (["--loops", "0"], "0 is not in the range x>=1"),
        (["--loops", "20000"], "evaluation.loops is 10,000 at most, got 20,000"),
    ):
        refused = arith(*asked, *options)
        assert refused.exit_code == 2, refused.output
        assert message in " ".join(refused.stderr.replace("│", "").split())
    assert "is for runs of arith" in arith("evaluate", "--prompts", "ask.jsonl", "--loops", "2").stderr
    # A resumed run may be tested otherwise than it was, and is not taken for tested.
    loops = ("--set", "model.loops=1-2", "--set", "evaluation.loops=3")
    assert arith("train", *SMALL, *loops, "--resume", "--out", "run").exit_code == 0
    cells = json.loads((tmp_path / "run" / "results.json").read_text())["cells"]
    assert {(cell["loops"], cell["step"]) for cell in cells} == {(3, 3)}


def test_evaluation_leaves_the_runs_results_alone(arith: Arith, tmp_path: Path) -> None:
    arith("train", *SMALL, "--out", "run")
    before = (tmp_path / "run" / "results.json").read_bytes()
    shown = arith("evaluate", "run", "--test-digits", "2", "--samples", "9")
    assert "95% interval" in shown.stdout
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    announced = arith("evaluate", "run", "--test-digits", "2", "--samples", "9", "--dry-run")
    assert "random 2 digits, 9 problems" in announced.stdout


def test_lengths_that_are_named_are_tested_without_the_runs_grid(arith: Arith, tmp_path: Path) -> None:
    arith("train", *SMALL, "--set", "evaluation.grid=1-2", "--out", "run")
    announced = arith("evaluate", "run", "--test-digits", "2", "--samples", "9", "--dry-run").stdout
    assert "random 2 digits, 9 problems" in announced
    assert "grid" not in announced
    assert "grid" in arith("evaluate", "run", "--samples", "9", "--dry-run").stdout


def test_what_is_measured_before_the_last_step_is_said(arith: Arith, tmp_path: Path) -> None:
    arith("train", *SMALL, "--out", "run")
    asked = ("evaluate", "run", "--test-digits", "2", "--samples", "9")
    assert "not finished" not in arith(*asked).stderr
    described = tmp_path / "run" / "run.json"
    described.write_text(described.read_text().replace('"steps": 3', '"steps": 5'))
    assert "run is not finished: step 3 of 5. Resume it: " in arith(*asked, "--out", "early.json").stderr
