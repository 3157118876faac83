"""Problems that a trained model is asked."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


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


def test_a_model_that_never_ends_its_number_has_no_answer(arith: Arith) -> None:
    trained = arith(
        *("train", "addition", "--format", "reversed+groups:size=1", "--encoding", "learned@abacus", "--model", "nano"),
        *("--digits", "1-2", "--test-digits", "2", "--samples", "9", "--steps", "3", "--out", "run"),
    )
    assert trained.exit_code == 0, trained.output
    asked = arith("ask", "run", "12+34", "99+1", "0+0", "--json")
    assert asked.exit_code == 0, asked.output


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


@pytest.mark.parametrize(
    ("typed", "result"),
    [
        (("1,234+5,678",), "6912"),
        (("12\u00d734",), "408"),
        (("12\u00b734",), "408"),
        (("12x34",), "408"),
        (("123", "+", "456"), "579"),
        (("123 + 456 =",), "579"),
        (("12+", "34"), "46"),
        (("1_000+1",), "1001"),
        (("9" * 130 + "+1",), "1" + "0" * 130),  # no file system takes such a name
    ],
)
def test_problems_are_read_as_people_type_them(arith: Arith, typed: tuple[str, ...], result: str) -> None:
    asked = arith("ask", *typed, "--json")
    assert asked.exit_code == 0, asked.output
    (reply,) = [json.loads(line) for line in asked.stdout.splitlines()]
    assert reply["result"] == result


def test_several_problems_stay_several(arith: Arith) -> None:
    replies = [json.loads(line) for line in arith("ask", "1+2", "30+4", "--json").stdout.splitlines()]
    assert [reply["result"] for reply in replies] == ["3", "34"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("-12+5", "operands are typed without a sign, such as 12+34; got '-12+5'"),
        ("--jsn", "no such option: --jsn"),
        ("12/4", "no shipped model answers '12/4'"),
        ("n" * 300, "File name too long"),
    ],
)
def test_what_is_no_problem_is_named(arith: Arith, typed: str, message: str) -> None:
    asked = arith("ask", typed)
    assert asked.exit_code == 2, asked.output
    assert message in " ".join(asked.stderr.split())


def test_a_long_answer_shows_how_far_it_is(arith: Arith, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arith.process.progress.PLAIN_FIRST", 0.0)
    monkeypatch.setattr("arith.process.progress.PLAIN_INTERVAL", 0.0)
    asked = arith("ask", "12345*6789")
    assert "s left" in asked.stderr
    assert "ask 12345*6789" in asked.stderr
