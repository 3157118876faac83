"""Throughput by the command."""

import json
from collections.abc import Callable

from click.testing import Result

Arith = Callable[..., Result]


def test_command(arith: Arith) -> None:
    small = ["--set", "model.width=16", "--set", "model.heads=2", "--batch", "4", "--timed", "2", "--device", "cpu"]
    shown = arith("bench", "train", "addition", "--encoding", "t5", *small)
    assert shown.exit_code == 0, shown.output
    assert "tokens/s" in shown.stdout
    assert "backward" in shown.stdout
    (row,) = json.loads(arith("bench", "train", "addition", "--encoding", "t5", *small, "--json").stdout)
    assert row["tokens_per_second"] > 0
    assert row["rows"] == 4
