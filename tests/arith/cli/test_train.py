"""Training by the command: folders, signals and the order of settings."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from arith.results.schema import Results

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


def test_ctrl_c_saves_and_exits_130(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "arith", "train", "--steps", "100000", "--out", str(tmp_path / "run")]
    running = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    assert "train coupled-window" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    rest = running.communicate(timeout=60)[1]
    assert running.returncode == 130, rest
    assert f"train --resume --out {tmp_path / 'run'}" in rest
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))


def test_folders_that_cannot_be_are_refused(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "is a file, and a run is a folder" in arith("train", *SMALL, "--out", "file").stderr
    arith("train", *SMALL, "--out", "run")
    missing = arith("evaluate", "run", "--out", "no/such/folder.json")
    assert missing.exit_code == 2
    assert "there is no folder no/such" in missing.stderr
    (tmp_path / "run" / "run.json").write_text("{}")
    assert "describes no run" in arith("ask", "run", "1+1").stderr


def test_existing_runs_are_kept(arith: Arith) -> None:
    assert arith("train", *SMALL, "--out", "run").exit_code == 0
    again = arith("train", *SMALL, "--out", "run")
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    assert arith("train", "--resume", "--out", "run").exit_code == 0
    changed = arith("train", "--resume", "--out", "run", "--learning-rate", "0.5")
    assert "learning_rate: 0.003 before, 0.5 now" in changed.stderr
    assert arith("train", *SMALL, "--out", "run", "--overwrite").exit_code == 0


def test_command_line_over_environment_over_recipe(arith: Arith) -> None:
    def steps(*arguments: str, **environment: str) -> int:
        shown = arith("train", "--recipe", "extrapolation:rope", "--dry-run", "--json", *arguments, **environment)
        found: int = json.loads(shown.stdout)["config"]["training"]["steps"]
        return found

    assert steps() == 2400
    assert steps(ARITH_TRAIN_STEPS="70") == 70
    assert steps("--steps", "50", ARITH_TRAIN_STEPS="70") == 50
    assert steps("--set", "training.steps=60") == 60


def test_a_finished_run_replays_from_its_run_json(arith: Arith, tmp_path: Path) -> None:
    arith("train", *SMALL, "--encoding", "t5", "--seed", "3", "--out", "run")
    (tmp_path / "run").rename(tmp_path / "run:1")
    replayed = arith("train", "--recipe", "run:1/run.json", "--out", "again")
    assert replayed.exit_code == 0, replayed.output
    first, second = (Results.load(tmp_path / name / "results.json").cells for name in ("run:1", "again"))
    assert [(c.encoding, c.model_seed, c.correct) for c in first] == [
        (c.encoding, c.model_seed, c.correct) for c in second
    ]
