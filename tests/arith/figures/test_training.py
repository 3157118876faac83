"""Curves of training."""

import warnings
from pathlib import Path

from arith.figures.training import Training, draw_training


def test_a_run_of_which_the_first_step_alone_is_logged_is_drawn(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = draw_training([Training("run", {"loss": [(0, 1.0)], "accuracy": []})], tmp_path / "figure")
    assert all(file.is_file() for file in files)
