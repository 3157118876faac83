"""arith report, as it is typed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config.recipe import load
from arith.results.schema import Results
from tests.arith.examples import cell, grid_cells

Arith = Callable[..., Result]


def test_a_run_becomes_a_page_with_every_part(arith: Arith, half_trained: Path, tmp_path: Path) -> None:
    # A copy, as other tests measure this run too, and leave what they found in its folder.
    run = shutil.copytree(half_trained, tmp_path / "half", ignore=shutil.ignore_patterns("evaluation.json", "lock"))
    options = ["--samples", "40", "--grid", "1-2", "--test-digits", "2,3"]
    added = ["--anatomy", "--out", "evaluation.json", "--predictions", "answers.jsonl"]
    assert arith("evaluate", str(run), *options, *added).exit_code == 0
    written = arith("report", str(run), "answers.jsonl", "--out", "new/run.html", "--problem", "12+34", "--json")
    assert written.exit_code == 0, written.output
    told = json.loads(written.stdout)
    assert told["parts"] == ["training", "anatomy", "failures", "attention", "provenance"]
    assert len(told["left_out"]) == 2  # trained and not tested: there is no accuracy yet
    text = (tmp_path / "new" / "run.html").read_text(encoding="utf-8")
    assert told["bytes"] == len(text.encode())
    assert "layer 1, head 1" in text
    assert "the first wrong token" in text
    assert str(tmp_path) not in text  # nor any other folder of this machine
    refused = arith("report", str(run), "--problem", "12*34")
    assert refused.exit_code == 2
    assert "ask addition for problems such as 12+34" in refused.stderr
    files = arith("report", "evaluation.json", "answers.jsonl", "--json")
    assert {"grid", "anatomy", "failures"} <= set(json.loads(files.stdout)["parts"])
    edited = (tmp_path / "answers.jsonl").read_text().replace('"operands": ["', '"operands": ["x')
    (tmp_path / "edited.jsonl").write_text(edited)
    refused = arith("report", "evaluation.json", "edited.jsonl")
    assert refused.exit_code == 1
    assert "edited.jsonl: 'operands' are 2 numbers" in refused.stderr


def test_of_a_results_file_the_rest_is_left_out_and_named(arith: Arith, tmp_path: Path) -> None:
    Results((cell(), *grid_cells("rope", 3, lambda a, b: 1))).save(tmp_path / "a.json")
    written = arith("report", "a.json")
    assert written.exit_code == 0, written.output
    assert "left out What each head attends to: it takes a run's folder" in " ".join(written.stdout.split())
    assert "report   report.html" in written.stdout
    assert "What each head attends to" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_digits_are_called_what_the_recipe_calls_them(arith: Arith, tmp_path: Path) -> None:
    for about, axis in (({"recipe": "lego"}, load("lego").figure_plan.axis), ({}, "digits of the longer operand")):
        Results((cell(digits=4), cell(digits=9)), about).save(tmp_path / "a.json")
        assert arith("report", "a.json").exit_code == 0
        assert f">{axis}</" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_two_are_compared(arith: Arith, tmp_path: Path) -> None:
    for folder, correct in (("old", 300), ("new", 400)):
        (tmp_path / folder).mkdir()
        Results(tuple(cell("rope", digits, correct) for digits in (4, 9))).save(tmp_path / folder / "results.json")
    written = arith("report", "--compare", "old", "new", "--json")
    assert json.loads(written.stdout)["parts"][:2] == ["comparison", "accuracy"]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>new against old</h1>" in text
    assert "rope (new) less rope (old)" in text
    assert "difference +25.0" in text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("report gone.json", "gone.json cannot be read: No such file or directory"),
        ("report empty.json", "empty.json: there are no cells to report on"),
        ("report one.json --out folder", "folder cannot be written: Is a directory. Choose another --out"),
        ("report --compare one.json", "--compare takes two runs or results files, the first and the second; got 1"),
        ("report one.json one.json", "one.json, one.json: 'rope' has two results on suite 'random'"),
        ("report folder", "folder holds no run"),
    ],
)
def test_mistakes_are_told(arith: Arith, tmp_path: Path, command: str, message: str) -> None:
    Results((cell(),)).save(tmp_path / "one.json")
    Results(()).save(tmp_path / "empty.json")
    (tmp_path / "folder").mkdir()
    refused = arith(*command.split())
    assert refused.exit_code == 2, refused.output
    assert message in " ".join(refused.stderr.split())
