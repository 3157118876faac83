"""Curves of training."""

import warnings
from pathlib import Path

import pytest

from arith.errors import UsageError
from arith.figures.training import Training, draw_training, read_training


def test_a_run_of_which_the_first_step_alone_is_logged_is_drawn(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = draw_training([Training("run", {"loss": [(0, 1.0)], "accuracy": []})], tmp_path / "figure")
    assert all(file.is_file() for file in files)


def test_the_ratio_of_gradients_is_drawn_where_it_was_logged(tmp_path: Path) -> None:
    rows = ['{"step": 5, "seconds": 1, "loss": 2.0, "gradient_norms": {"head": 1.0}, "gradient_ratio": 9.5}']
    (tmp_path / "metrics.jsonl").write_text("\n".join([*rows, '{"step": 10, "seconds": 2, "loss": 1.0}', ""]))
    run = read_training(tmp_path)
    assert run.series["gradient_ratio"] == [(5, 9.5)]
    files = draw_training([run, Training("old", {"loss": [(0, 1.0)], "accuracy": []})], tmp_path / "figure")
    table = next(file for file in files if file.suffix == ".csv").read_text()
    assert "gradient_ratio,5,9.5" in table


@pytest.mark.parametrize("row", ['{"step": 1, "loss": 1%s}', '{"step": 1%s, "loss": 1}', '{"step": -1, "loss": 1}'])
def test_numbers_that_no_axis_shows_are_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(row.replace("%s", "0" * 400) + "\n")
    with pytest.raises(UsageError, match=r"line 1: field '(loss|step)' is a"):
        read_training(tmp_path)


def test_watched_lengths_are_drawn_by_length_below_the_accuracy_in_distribution(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 5, "accuracy": 1.0, "watched": {"10": 0.25, "8": 0.5}}\n')
    run = read_training(tmp_path)
    files = draw_training([run], tmp_path / "figure")
    table = next(file for file in files if file.suffix == ".csv").read_text().splitlines()
    assert [line.split(",", 1)[1] for line in table[1:]] == [
        "accuracy,5,1",
        "accuracy at 8 digits,5,0.5",
        "accuracy at 10 digits,5,0.25",
    ]


@pytest.mark.parametrize("watched", ["3", '{"ten": 1}', '{"10": "all"}'])
def test_watched_lengths_that_are_no_numbers_are_refused(tmp_path: Path, watched: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 5, "watched": {watched}}}\n')
    with pytest.raises(UsageError, match=r"line 1: field '(watched|accuracy at 10 digits)' is a"):
        read_training(tmp_path)
