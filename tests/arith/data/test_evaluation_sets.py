"""Sizes of test sets: by suite and length, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config.schema import EvaluationConfig
from arith.data.evaluation_sets import EvaluationSets
from arith.errors import UsageError
from arith.results.schema import Results

Arith = Callable[..., Result]


def sizes(*given: str) -> dict[tuple[str, int], int]:
    config = EvaluationConfig(digits=(5, 300, 900), suites=("random", "chain"), samples=70, sizes=given)
    tests = EvaluationSets.of("addition", "padded-reversed", config)
    return {(test.suite, test.digits): test.n for test in tests.conditions()}


def test_the_last_entry_that_fits_decides() -> None:
    plain = {("random", 5): 70, ("chain", 5): 70} | dict.fromkeys([("random", 300), ("chain", 300)], 400)
    assert sizes() == plain | {("random", 900): 400, ("chain", 900): 400}
    found = sizes("20 300-900", "1 chain 900", "8 random 5")
    expected = {("random", 5): 8, ("chain", 5): 70, ("random", 300): 20, ("chain", 300): 20}
    assert found == expected | {("random", 900): 20, ("chain", 900): 1}
    assert sizes("0 900", "4 random 900") == plain | {("random", 900): 4}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("400", "a number of problems, maybe a suite, and a length"),
        ("4 random chain 5", "a number of problems, maybe a suite, and a length"),
        ("-1 900", "a number of problems"),
        ("1.5 900", "a number of problems"),
        ("4 chains 900", "Did you mean 'chain'?"),
        ("4 nine", "digits are a range"),
        ("4 9000000", "1,000,000 digits at most"),
        ("0 1-1000", "leaves no test set"),
    ],
)
def test_what_is_no_size_is_refused(entry: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        sizes(entry)


def test_an_evaluation_asked_for_fewer_problems_leaves_out_what_is_left_out(arith: Arith, tmp_path: Path) -> None:
    tiny = ["--steps", "2", "--batch", "8", "--model", "nano", "--test-digits", "2,3"]
    assert (
        arith(
            "train",
            *tiny,
            "--set",
            "evaluation.sizes=9 3,0 chain 3",
            "--set",
            "evaluation.suites=random,chain",
            "--out",
            "run",
        ).exit_code
        == 0
    )
    cells = Results.load(tmp_path / "run" / "results.json").cells
    assert [(cell.suite, cell.digits, cell.n) for cell in cells] == [
        ("random", 2, 1000),
        ("chain", 2, 1000),
        ("random", 3, 9),
    ]
    asked = arith("evaluate", "run", "--suites", "random,chain", "--samples", "5", "--out", "again.json")
    assert asked.exit_code == 0, asked.output
    cells = Results.load(tmp_path / "again.json").cells
    assert [(cell.suite, cell.digits, cell.n) for cell in cells] == [
        ("random", 2, 5),
        ("chain", 2, 5),
        ("random", 3, 5),
    ]
