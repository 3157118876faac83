"""Runs in a folder, with state and claim."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from arith.process.lock import lock_folder

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


def test_runs_are_listed_with_state_and_claim(arith: Arith, tmp_path: Path) -> None:
    arith("train", *TINY, "--out", "runs/done")
    arith("train", *TINY, "--out", "runs/stopped")
    (tmp_path / "runs" / "stopped" / "results.json").unlink()
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{")
    found = {row["folder"]: row for row in json.loads(arith("list", "runs", "--json").stdout)}
    assert found["runs/done"]["state"] == "finished"
    assert "on the 1-2 digits of training" in found["runs/done"]["claim"]
    assert found["runs/stopped"]["state"] == "stopped"
    assert found["runs/broken"]["state"] == "unreadable run.json"
    with lock_folder(tmp_path / "runs" / "stopped"):
        assert re.search("runs/stopped +running +4/4", arith("list", "runs").stdout)
    assert arith("list", "runs", "--folder", "nowhere").exit_code == 2
