"""Why answers are wrong."""

import dataclasses

import pytest

from arith.catalogue.named import task_named
from arith.evaluation.failures import CLASSES, anatomy, classify
from arith.results.error_classes import merge_anatomies
from arith.results.predictions import Prediction, PredictionHeader
from arith.tasks.addition import Addition

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
    assert classify(task, [row]) == [expected]
    # What stands beside it changes nothing.
    other = prediction(problem.replace("1", "2"), 7)
    assert classify(task, [other, row, other])[1] == expected


def test_an_answer_that_never_ends_is_of_the_wrong_length() -> None:
    row = dataclasses.replace(prediction("12+34", 466), written="466")
    assert classify(task_named("addition"), [row]) == ["length"]


def test_a_carry_makes_an_answer_one_digit_longer_or_shorter_at_most() -> None:
    # 241+759 is 1000: 90 forgets the carry into the tens and that into the thousands, as 990 does that into the tens.
    rows = [prediction("241+759", answer) for answer in (990, 90)]
    # 12+34 is 46: beside longer problems, whose columns it gets, each digit of 1146 is its column's with some carry.
    rows += [prediction("12+34", answer) for answer in (146, 1146)] + [prediction("12345+54321", 66667)]
    assert classify(task_named("addition"), rows) == ["dropped", "length", "spurious", "length", "spurious"]


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
    assert classify(Addition(), [row]) == [name]
