"""What an evaluation is asked for, and the files that it writes beside one another."""

from collections.abc import Callable
from pathlib import Path

import torch
from click.testing import Result

from arith.results.predictions import Predictions
from arith.results.schema import Results

Arith = Callable[..., Result]


def test_files_of_something_else_are_left_alone(arith: Arith, tmp_path: Path, half_trained: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine\n")
    asked = ["evaluate", str(half_trained), "--test-digits", "2", "--suites", "random", "--samples", "5"]
    arith(*asked, "--out", "o.json", "--predictions", "p.jsonl")
    for arguments, message in (
        (["--out", "mine.txt"], "mine.txt is no results file"),
        (["--out", "o2.json", "--predictions", "mine.txt"], "mine.txt is no predictions file"),
        (["--out", "o2.json", "--predictions", "p.jsonl", "--seed", "5"], "of another model or test"),
        (["--out", "."], "is a folder"),
        (["--out", "o2.json", "--predictions", "."], "is a folder"),
    ):
        refused = arith(*asked, *arguments)
        assert refused.exit_code == 2, refused.output
        assert message in " ".join(refused.stderr.split())
    assert (tmp_path / "mine.txt").read_text() == "mine\n"


def test_a_grid_has_predictions_too(arith: Arith, tmp_path: Path, half_trained: Path) -> None:
    ran = arith(
        "evaluate", str(half_trained), "--grid", "1-2", "--samples", "9", "--anatomy", "--predictions", "g.jsonl"
    )
    assert ran.exit_code == 0, ran.output
    assert list(Predictions.load(tmp_path / "g.jsonl").sets()) == [
        ("grid", 1, (1, 1)),
        ("grid", 2, (1, 2)),
        ("grid", 2, (2, 1)),
        ("grid", 2, (2, 2)),
    ]
    kept = Results.load(half_trained / "evaluation.json")
    assert [(own.digits, own.n) for own in kept.anatomy] == [(1, 9), (2, 27)]
    assert torch.is_grad_enabled()


def test_a_second_evaluation_keeps_the_sets_of_the_first(arith: Arith, tmp_path: Path, half_trained: Path) -> None:
    asked = ["evaluate", str(half_trained), "--out", "out.json", "--predictions", "p.jsonl", "--suites", "random"]
    assert arith(*asked, "--test-digits", "1,2", "--samples", "10").exit_code == 0
    assert arith(*asked, "--test-digits", "3", "--samples", "10", "--anatomy").exit_code == 0
    held = Predictions.load(tmp_path / "p.jsonl").sets()
    assert sorted(digits for _, digits, _ in held) == [1, 2, 3]
    assert len(Results.load(tmp_path / "out.json").cells) == 3
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    (tmp_path / "twice.jsonl").write_text("\n".join([*lines, lines[1]]) + "\n")
    twice = arith("rescore", "twice.jsonl")
    assert twice.exit_code == 1
    assert "'index' counts 11 problems from 0, each once" in twice.stderr
    same = arith("evaluate", str(half_trained), "--out", "p.jsonl", "--predictions", "p.jsonl")
    assert same.exit_code == 2
    assert "cannot hold both" in same.stderr
    kept = arith("evaluate", str(half_trained), "--out", str(half_trained / "results.json"))
    assert kept.exit_code == 2
    assert "holds what the training reached" in kept.stderr
