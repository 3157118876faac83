"""Batches: their requests, and the lines that come back."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from arith.results.schema import Results
from tests.arith.evaluation.text.serving import completion


def test_a_batch_goes_out_and_its_results_are_scored(arith: Callable[..., Result]) -> None:
    few = ("--test-digits", "2", "--samples", "6", "--openai", "--model", "it")
    assert arith("evaluate", "--prompts", "batch.jsonl", "--max-tokens", "40", *few).exit_code == 0
    rows = [json.loads(line) for line in Path("batch.jsonl").read_text().splitlines()]
    assert {(row["method"], row["url"]) for row in rows} == {("POST", "/v1/chat/completions")}
    assert {(row["body"]["model"], row["body"]["temperature"], row["body"]["max_tokens"]) for row in rows} == {
        ("it", 0, 40)
    }
    back = []
    for place, row in enumerate(rows):
        number = sum(map(int, re.findall("[0-9]+", row["body"]["messages"][0]["content"])))
        cut = completion(str(number), "length" if place == 1 else "stop")
        response = {"status_code": 200, "request_id": "r", "body": cut.body}
        if place == 2:
            response = {"status_code": 500, "body": {"error": {"message": "oops"}}}
        error = {"code": "batch_expired", "message": "late"} if place == 3 else None
        back.append({"id": f"b{place}", "custom_id": row["custom_id"], "response": response, "error": error})
    Path("done.jsonl").write_text("\n".join(map(json.dumps, back[:-1])))
    assert "lacks 1 of 6" in arith("evaluate", "--replies", "done.jsonl").stderr
    scored = arith("evaluate", "--replies", "done.jsonl", "--partial")
    assert scored.exit_code == 0, scored.stderr
    (cell,) = Results.load(Path("done-evaluation.json")).cells
    assert (cell.n, cell.correct, cell.measures["error"], cell.measures["truncated"]) == (6, 2, 3, 1)
    back[0]["response"] = {"status_code": 200, "body": {"choices": []}}
    Path("bad.jsonl").write_text("\n".join(map(json.dumps, back)))
    bad = arith("evaluate", "--replies", "bad.jsonl")
    assert bad.exit_code == 2
    assert "line 1" in bad.stderr
    assert arith("evaluate", "--prompts", "text.jsonl", "--completions", *few).exit_code == 0
    first = json.loads(Path("text.jsonl").read_text().splitlines()[0])
    assert first["url"] == "/v1/completions"
    assert first["body"]["prompt"].endswith("=")
