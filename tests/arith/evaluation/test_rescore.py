"""Predictions that are scored anew."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from arith.results.predictions import Predictions
from arith.results.schema import Results

Arith = Callable[..., Result]


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
