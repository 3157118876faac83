"""Two models on the same problems."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.errors import UsageError
from arith.evaluation.compare import compare
from arith.results.schema import Condition

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


def test_the_better_is_called_better() -> None:
    test = Condition("random", 3, 100), "addition"
    weak, strong = [n < 50 for n in range(100)], [n < 80 for n in range(100)]
    better, same = compare(["a", "b", "c"], [{test: weak}, {test: strong}, {test: weak[::-1]}])
    assert (better.verdict, same.verdict) == ("better", "unclear")
    assert better.difference == pytest.approx(0.3)
    assert (better.only_first, better.only_second, same.only_first) == (0, 30, 50)
    (worse,) = compare(["b", "a"], [{test: strong}, {test: weak}])
    assert worse.verdict == "worse"
    with pytest.raises(UsageError, match="not tested on the same problems"):
        compare(["a", "b"], [{test: weak}, {(Condition("random", 4, 100), "addition"): strong}])


def test_runs_and_their_predictions_compare_alike(arith: Arith, tmp_path: Path) -> None:
    asked = ["--test-digits", "1,2", "--suites", "random,chain", "--samples", "60"]
    for name, form in (("one", "padded-reversed"), ("two", "plain")):
        trained = arith("train", *SMALL, "--encoding", "rope", "--format", form, "--steps", "60", "--out", name)
        assert trained.exit_code == 0, trained.output
        asked = [
            "--test-digits",
            "1,2",
            "--suites",
            "random,chain",
            "--samples",
            "60",
            "--predictions",
            f"{name}.jsonl",
        ]
        arith("evaluate", name, *asked)
    live = arith(
        "compare", "one", "two", "--test-digits", "1,2", "--suites", "random,chain", "--samples", "60", "--json"
    )
    assert live.exit_code == 0, live.output
    rows, files = json.loads(live.stdout), json.loads(arith("compare", "one.jsonl", "two.jsonl", "--json").stdout)
    assert len(rows) == 5
    assert rows[-1]["n"] == 240
    assert [{**row, "first": "", "second": ""} for row in rows] == [{**row, "first": "", "second": ""} for row in files]
    table = arith("compare", "one", "two").stdout
    assert "against one" in table
    assert "seeds matter" in table
    for arguments, message in (
        (["one"], "two runs or more"),
        (["one", "one"], "is there twice"),
        (["one.jsonl", "two.jsonl", "--samples", "3"], "leave out --samples"),
        (["one", "one.jsonl"], "not both at once"),
        (["one", "two", "--test-digits", "x"], "digits are a range"),
    ):
        refused = arith("compare", *arguments)
        assert refused.exit_code == 2, refused.output
        assert message in " ".join(refused.stderr.split())
