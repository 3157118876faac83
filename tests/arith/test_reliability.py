"""Faults of whole commands, which every room takes part in: docs/reliability.md says which promise each test holds."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, BYTES))
from arith.cli import main
main()
"""


def limited(folder: Path, size: int, *arguments: str) -> str:
    """What a command says that may write no larger files: that fails as a full disk does, within what writes them."""
    command = [sys.executable, "-c", LIMITED.replace("BYTES", str(size)), *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    said = " ".join(ended.stderr.split())
    assert "train --resume --out run" in said
    return said


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(arith: Arith, tmp_path: Path) -> None:
    assert arith("train", *TINY, "--set", "training.checkpoint_every=2", "--out", "run").exit_code == 0
    saved = tmp_path / "run" / "checkpoints"
    shutil.rmtree(saved / "step-00000004")
    said = limited(tmp_path, 200_000, "train", "--resume", "--out", "run")
    assert "the checkpoint of step 4 could not be written" in said
    assert [path.name for path in saved.iterdir()] == ["step-00000002"], "whole, and nothing half-written"
    assert arith("train", "--resume", "--out", "run").exit_code == 0


def test_metrics_that_cannot_be_written_end_the_run_too(arith: Arith, tmp_path: Path) -> None:
    many = ("--steps", "60", "--set", "training.log_every=1", "--set", "training.checkpoint_every=1000")
    said = limited(tmp_path, 2_500, "train", *TINY, *many, "--out", "run")
    assert "the metrics could not be written" in said
    assert arith("train", "--resume", "--out", "run").exit_code == 0


def test_other_settings_are_refused_on_resume_with_the_differences(arith: Arith) -> None:
    arith("train", *TINY, "--out", "run")
    refused = arith("train", "--resume", "--out", "run", "--batch", "16", "--encoding", "rope")
    assert refused.exit_code == 2
    assert "training.batch: 8 before, 16 now" in refused.stderr
    assert "encoding: coupled-window before, rope now" in refused.stderr


def test_a_signal_during_the_tests_says_how_to_resume(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "arith", "train", *TINY, "--out", "run", "--set", "evaluation.samples=200000"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train"):
            break
    process.terminate()
    said = process.stderr.read()
    assert process.wait(30) == 130
    assert "train --resume --out run" in said
    assert (tmp_path / "run" / "checkpoints" / "step-00000004").is_dir()
