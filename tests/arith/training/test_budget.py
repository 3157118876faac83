"""Training for some minutes."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config.recipe import load_config
from arith.training import budget

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


def test_a_validation_is_timed_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timed cold, with what a GPU compiles, and counted for every validation, it would cost steps that had time."""
    waits = [0.5]
    monkeypatch.setattr(budget, "validation_accuracy", lambda *given: time.sleep(waits.pop() if waits else 0))
    config = load_config("coupled-window").with_values({"training": {"batch": 2, "device": "cpu"}})
    _, validation = budget.seconds_of(config)
    assert not waits
    assert validation < 0.4
