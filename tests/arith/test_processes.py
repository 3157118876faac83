"""Whole commands that are killed, and those of several processes: every room takes part."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
TRAIN = (
    *("train", "addition", "--encoding", "t5+abacus", "--steps", "240", "--batch", "16", "--digits", "1-3"),
    *("--test-digits", "2", "--samples", "20", "--model", "nano", "--device", "cpu"),
    *("--set", "training.checkpoint_every=15", "--set", "training.log_every=1", "--set", "training.evaluate_every=60"),
)


def started(folder: Path, *arguments: str, processes: int = 1) -> "subprocess.Popen[str]":
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", f"--nproc-per-node={processes}", "--standalone", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*launcher, "arith", *arguments], cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def ended(process: "subprocess.Popen[str]") -> str:
    out, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    return out


def weights(run: Path, steps: int) -> str:
    (last,) = sorted((run / "checkpoints").iterdir())[-1:]
    assert last.name == f"step-{steps:08d}"
    return hashlib.sha256((last / "model.safetensors").read_bytes()).hexdigest()


def losses(run: Path, steps: int = 240) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    return [row["loss"] for row in rows]


def test_killed_at_random_moments_again_and_again_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    steps, kills = 2000, 6
    command = (*TRAIN, "--steps", str(steps), "--set", "training.checkpoint_every=20")
    ended(started(tmp_path, *command, "--out", "whole"))
    draw = random.Random(time.time_ns())
    run = tmp_path / "killed"
    for _ in range(kills):
        begun = (run / "run.json").is_file()
        process = started(tmp_path, *(("train", "--resume") if begun else command), "--out", "killed")
        before = run.joinpath("metrics.jsonl").stat().st_mtime_ns if begun else 0
        # Its imports done, it writes; then it is killed in the middle of something, a checkpoint or a step.
        while not (run / "metrics.jsonl").is_file() or run.joinpath("metrics.jsonl").stat().st_mtime_ns == before:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
    assert not (run / "results.json").is_file(), "it was killed before its end"
    ended(started(tmp_path, "train", "--resume", "--out", "killed"))
    assert weights(run, steps) == weights(tmp_path / "whole", steps)
    assert losses(run, steps) == losses(tmp_path / "whole", steps)


def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    ended(started(tmp_path, *TRAIN, "--out", "one"))
    ended(started(tmp_path, *TRAIN, "--out", "two", processes=2))
    # Sums over the batch are made in another order, which training magnifies: held at first, and roughly to the end.
    pairs = list(zip(losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True))
    assert max(abs(a - b) for a, b in pairs[:50]) < 1e-6
    assert max(abs(a - b) for a, b in pairs) < 1e-2
    lines = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 240, "one process writes"


def test_a_signal_to_one_of_two_processes_saves_both_together(tmp_path: Path) -> None:
    process = started(tmp_path, *TRAIN, "--out", "run", "--set", "training.steps=100000", processes=2)
    metrics = tmp_path / "run" / "metrics.jsonl"
    began = time.monotonic()
    while not metrics.is_file() or metrics.read_text().count("\n") < 30:
        assert time.monotonic() - began < 120
        time.sleep(0.2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGTERM)  # the second one only; the first one writes
    told = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - told < 30
    assert "train --resume --out run" in errors
    saved = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1].name
    last = json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert saved == f"step-{last:08d}"


def test_errors_of_every_process_are_shown(tmp_path: Path) -> None:
    process = started(tmp_path, "train", "--batch", "1", "--set", "training.learning_rate=-1", processes=2)
    _, errors = process.communicate(timeout=100)
    assert process.returncode != 0
    assert "[rank 0] Error: training.learning_rate is above 0" in errors
    assert "[rank 1] Error: training.learning_rate is above 0" in errors
