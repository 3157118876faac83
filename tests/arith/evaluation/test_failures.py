"""Predictions, their file, and why they are wrong."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from arith.catalogue.named import task_named
from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.evaluation.answers import answered
from arith.evaluation.failures import CLASSES, anatomy, classes
from arith.evaluation.teacher_forced import judged
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.results.error_classes import merge_anatomies
from arith.results.predictions import Prediction, PredictionHeader, Predictions
from arith.results.schema import Condition, Results
from arith.tasks.addition import Addition
from arith.training.loop import train

Arith = Callable[..., Result]
SUBJECT = PredictionHeader("x", "addition", "padded-reversed", "rope", (1, 4), 0, 0, 1, 5, "abc")


def prediction(problem: str, answer: int | None, form: str = "plain", **changes: object) -> Prediction:
    """What was answered to a problem, written most significant digit first."""
    symbol = "-" if "-" in problem else "*" if "*" in problem else "+"
    operands = tuple(problem.split(symbol))
    a, b = map(int, operands)
    result = str({"+": a + b, "-": a - b, "*": a * b}[symbol])
    given = "" if answer is None else str(answer)
    wrong = next((i for i, (x, y) in enumerate(zip(given + "$", result + "$", strict=False), 1) if x != y), None)
    values = {
        "suite": "random",
        "digits": max(map(len, operands)),
        "operand_lengths": None,
        "index": 0,
        "operands": operands,
        "result": result,
        "prompt": f"{problem}=",
        "expected": f"{result}$",
        "written": f"{given}$",
        "answer": None if answer is None else given,
        "first_wrong": wrong,
        "margin": 1.0,
    }
    return Prediction(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem", "answer", "expected"),
    [
        ("95+17", 102, "dropped"),  # 5+7 carries, and the next column knows nothing of it
        ("999+1", 990, "dropped"),
        ("12+34", 56, "spurious"),
        ("121+343", 564, "spurious"),
        ("12345+678", 12345 + 6780, "misaligned"),
        ("12345+678", 12345 + 67, "misaligned"),
        ("1234567+7654321", 9999999, "spurious"),
        ("1234567+1112131", 12345670 + 1112131, "misaligned"),
        ("123+456", 529, "copied"),  # the tens are the first operand's
        ("12345+54321", 666, "length"),
        ("12345+54321", 61666, "other"),
        ("12345+54321", None, "length"),
        ("500-123", 477, "dropped"),
        ("577-123", 444, "spurious"),
        ("12345*11", 123450 * 11, "misaligned"),
        ("123*45", 5534, "other"),
    ],
)
def test_wrong_answers_are_classified(problem: str, answer: int | None, expected: str) -> None:
    task = task_named("subtraction" if "-" in problem else "multiplication" if "*" in problem else "addition")
    row = prediction(problem, answer)
    assert classes(task, [row]) == [expected]
    # What stands beside it changes nothing.
    other = prediction(problem.replace("1", "2"), 7)
    assert classes(task, [other, row, other])[1] == expected


def test_an_answer_that_never_ends_is_of_the_wrong_length() -> None:
    row = dataclasses.replace(prediction("12+34", 466), written="466")
    assert classes(task_named("addition"), [row]) == ["length"]


def test_a_carry_makes_an_answer_one_digit_longer_or_shorter_at_most() -> None:
    # 241+759 is 1000: 90 forgets the carry into the tens and that into the thousands, as 990 does that into the tens.
    rows = [prediction("241+759", answer) for answer in (990, 90)]
    # 12+34 is 46: beside longer problems, whose columns it gets, each digit of 1146 is its column's with some carry.
    rows += [prediction("12+34", answer) for answer in (146, 1146)] + [prediction("12345+54321", 66667)]
    assert classes(task_named("addition"), rows) == ["dropped", "length", "spurious", "length", "spurious"]


def test_anatomy_counts_by_place_and_carry_chain() -> None:
    rows = [prediction("12+34", 46), prediction("95+17", 102), prediction("95+7", 102), prediction("99+1", 100)]
    found = anatomy(SUBJECT, task_named("addition"), rows)
    assert found.n == 4
    assert found.wrong == dict.fromkeys(CLASSES, 0) | {"dropped": 1}
    assert found.positions == ((4, 4), (3, 4), (4, 4), (3, 3))
    assert found.chains == ((0, 1, 1), (2, 2, 3))
    (twice,) = merge_anatomies([found, found])
    assert (twice.n, twice.wrong["dropped"], twice.positions[1], twice.chains[1]) == (8, 2, (6, 8), (2, 4, 6))
    assert len(merge_anatomies([found, dataclasses.replace(found, digits=3)])) == 2


@pytest.fixture(scope="module")
def half_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = RunConfig.of(
        {
            "encoding": "rope",
            "format": "plain",
            "data": {"digits": "1-2"},
            "training": {"steps": 250, "batch": 64, "evaluate_every": 250},
            "evaluation": {"digits": "2,3", "samples": 40},
        }
    )
    train(Run.begin(folder, config), Experiment.of(config))
    return folder


def test_the_first_wrong_token_of_one_pass_is_that_of_decoding(half_trained: Path) -> None:
    run = Run.open(half_trained)
    experiment = Experiment.of(run.config)
    model, _ = run.load_model(experiment)
    data = experiment.test_data("unequal", 2)
    found = judged(model, data, 200)
    rows = answered(model, Condition("unequal", 2, 200), data, 0, found)
    assert 0.02 < float(found.right.float().mean()) < 0.98, "half-trained, or the test proves nothing"
    for row, first in zip(rows, found.first_wrong.tolist(), strict=True):
        a, b = map(int, row.operands)
        assert row.result == str(a + b)
        assert (row.first_wrong or 0) == first
        if first:
            assert row.written[: first - 1] == row.expected[: first - 1]
            assert row.written[first - 1 : first] != row.expected[first - 1]
        else:
            assert row.written == row.expected
        assert row.correct == (row.answer == row.result and row.written.endswith("$"))
    again = answered(model, Condition("unequal", 2, 50), data, 100, found[100:150])
    assert [row.written for row in again] == [row.written for row in rows[100:150]]


def test_predictions_are_written_shown_and_scored_anew(arith: Arith, tmp_path: Path, half_trained: Path) -> None:
    asked = ["evaluate", str(half_trained), "--out", "out.json", "--predictions", "p.jsonl", "--suites", "random,nines"]
    asked += ["--test-digits", "2,3", "--samples", "40"]
    first = arith(*asked, "--failures", "2", "--anatomy")
    assert first.exit_code == 0, first.output
    assert "place" in first.stdout
    results = Results.load(tmp_path / "out.json")
    assert [(own.suite, own.digits, own.n) for own in results.anatomy] == [
        (cell.suite, cell.digits, cell.n) for cell in results.cells
    ]
    assert all(sum(a.wrong.values()) == c.n - c.correct for a, c in zip(results.anatomy, results.cells, strict=True))

    found = Predictions.load(tmp_path / "p.jsonl")
    assert [len(rows) for rows in found.sets().values()] == [40] * 4
    scored = json.loads(arith("rescore", "p.jsonl", "--json", "--failures", "1").stdout)
    told = [(own["suite"], own["digits"], own["correct"], own["low"]) for own in scored["scores"]]
    assert told == [(c.suite, c.digits, c.correct, c.low) for c in results.cells]
    assert [own["wrong"] for own in scored["anatomy"]] == [own.wrong for own in results.anatomy]
    assert all(row["first_wrong"] for row in scored["failures"])

    # Cut off in the middle of a line: whole sets stay, the rest is asked again.
    whole = (tmp_path / "p.jsonl").read_text()
    (tmp_path / "p.jsonl").write_text(whole[: len(whole) // 2])
    again = arith(*asked, "--failures", "2", "--anatomy")
    assert again.stdout == first.stdout
    assert sorted((tmp_path / "p.jsonl").read_text().splitlines()) == sorted(whole.splitlines())


def test_a_file_that_says_what_cannot_be_is_found_out(arith: Arith, tmp_path: Path, half_trained: Path) -> None:
    arith("evaluate", str(half_trained), "--out", "o.json", "--predictions", "p.jsonl", "--suites", "random")
    whole = (tmp_path / "p.jsonl").read_text()
    lines = whole.splitlines()
    row = json.loads(lines[1])

    def told(change: dict[str, object]) -> Result:
        text = "\n".join([lines[0], json.dumps(row | change), *lines[2:]])
        (tmp_path / "changed.jsonl").write_text(text + "\n")
        return arith("rescore", "changed.jsonl")

    for field, value in (("result", "7"), ("expected", "7$"), ("answer", "7777")):
        wrong = told({field: value})
        assert wrong.exit_code == 1
        assert f"'{field}' is" in wrong.stderr
    assert told({"first_wrong": None, "written": "77$"}).exit_code == 1
    for change, message in (
        ({"margin": float("nan")}, "line 2: field 'margin' is a number, got nan"),
        ({"margins": 1}, "line 2: field 'margins' is unknown"),
        ({"operands": "12"}, "line 2: field 'operands'"),
    ):
        refused = told(change)
        assert refused.exit_code == 2
        assert message in " ".join(refused.stderr.split())


@pytest.mark.parametrize("text", ["", "{}", "[1]\n", "{\n", '{"predictions": 7}\n', '{"predictions": 1}\n', "\x00\xff"])
def test_foreign_files_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"p\.jsonl"):
        Predictions.load(path)


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


@pytest.mark.parametrize(
    ("a", "b", "written", "name"),
    [
        (123, 456, "123", "copied"),
        (1000, 1000, "1000", "copied"),
        (999, 1, "1", "copied"),
        (241, 759, "0", "length"),
        (58, 76, "34", "dropped"),
        (12, 34, "146", "spurious"),
        (123, 45, "573", "misaligned"),
    ],
)
def test_wrong_answers_are_called_what_they_are(a: int, b: int, written: str, name: str) -> None:
    right = str(a + b)
    row = Prediction(
        suite="random", digits=3, operand_lengths=None, index=0, prompt=f"{a}+{b}=", operands=(str(a), str(b)),
        result=right, expected=f"{right}$", written=f"{written}$", answer=written, first_wrong=1, margin=1.0,
    )  # fmt: skip
    assert classes(Addition(), [row]) == [name]
