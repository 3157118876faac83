"""Training for some minutes."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


def test_minutes_fix_the_steps_and_the_run_replays(arith: Arith, tmp_path: Path) -> None:
    bounded = arith("train", *TINY, "--minutes", "0.03", "--out", "run")
    assert bounded.exit_code == 0, bounded.output
    training = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["training"]
    assert training["steps"] > 20
    assert training["warmup"] >= training["steps"] * 20 // 5, "a warm-up of 20 in 4 steps keeps its proportion"
    seconds = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]
    assert seconds < 20
    replayed = arith("train", "--recipe", "run/run.json", "--out", "again")
    assert replayed.exit_code == 0
    first, second = (json.loads((tmp_path / name / "results.json").read_text())["cells"] for name in ("run", "again"))
    assert [cell["correct"] for cell in first] == [cell["correct"] for cell in second]
    for wrong in (("--minutes", "0"), ("--minutes", "1", "--resume", "--out", "run")):
        assert arith("train", *TINY, *wrong).exit_code == 2
