import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Arith = Callable[..., Result]
ASKED = ("generate", "addition", "--format", "reversed", "--digits", "1-9", "--samples", "5000", "--seed", "7")


def test_lines_text_and_parquet_hold_the_same(arith: Arith, tmp_path: Path) -> None:
    from pyarrow import parquet

    for ending in ("jsonl", "txt", "parquet"):
        assert arith(*ASKED, "--out", f"problems.{ending}").exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
    assert len(rows) == 5000
    assert parquet.read_table(tmp_path / "problems.parquet").to_pylist() == rows
    assert (tmp_path / "problems.txt").read_text().splitlines() == [row["prompt"] + row["answer"] for row in rows]
    assert arith(*ASKED).stdout == (tmp_path / "problems.jsonl").read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_same_seed_gives_the_same_bytes_anywhere(arith: Arith) -> None:
    # Golden: these lines may be what somebody's results were measured on.
    assert hashlib.sha256(arith(*ASKED).stdout.encode()).hexdigest()[:16] == "0a8a770bfc539b42"


def test_seeds_and_splits_give_other_problems(arith: Arith) -> None:
    def prompts(*more: str) -> set[str]:
        lines = arith("generate", "addition", "--digits", "8", "--samples", "2000", *more).stdout.splitlines()
        return {json.loads(line)["prompt"] for line in lines}

    assert not prompts("--seed", "1") & prompts("--seed", "2")
    assert not prompts("--split", "train") & prompts("--split", "test")


@pytest.mark.parametrize(
    ("out", "message"), [("x.csv", "ends in .jsonl, .txt, .parquet"), ("no/x.jsonl", "there is no folder")]
)
def test_files_that_cannot_be_are_refused(arith: Arith, tmp_path: Path, out: str, message: str) -> None:
    refused = arith(*ASKED, "--out", out)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert not list(tmp_path.iterdir())
