"""A small grid of runs, written into a file and swept by the command."""

import subprocess
import sys
from pathlib import Path

GRID = """
title = "Two encodings"
[data]
digits = "1-2"
[training]
steps = 6
batch = 8
evaluate_every = 6
evaluate_samples = 8
[evaluation]
digits = [1, 2, 3]
samples = 20
[model]
preset = "nano"
[grid]
encoding = ["rope", "nope"]
seeds = [0, 1]
"""
SEARCH = """
[search]
"training.learning_rate" = [1e-4, 1e-2]
seeds = [100]
"""


def write_grid(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def start_sweep(tmp_path: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "arith", "sweep", "grid.toml", "--jobs", "2", "--threads", "1", *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=tmp_path, stderr=pipe, stdout=pipe, text=True, start_new_session=True)
