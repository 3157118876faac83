"""Devices, memory and what a training changes of its process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from arith.config.schema import RunConfig
from arith.errors import RunError, UsageError
from arith.training.environment import explain_out_of_memory, find_device

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


def test_unknown_devices_are_refused() -> None:
    assert find_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="no device is called 'tpuu'"):
        find_device("tpuu")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 8 GB"), MemoryError()]
)
def test_out_of_memory_names_the_knob(error: Exception) -> None:
    config = RunConfig().training
    with (
        pytest.raises(RunError, match=r"128 samples a step of up to 62 tokens.*--batch"),
        explain_out_of_memory(config, 62),
    ):
        raise error
    with pytest.raises(RuntimeError, match="something else"), explain_out_of_memory(config, 62):
        raise RuntimeError("something else")


def test_deterministic_runs_are_equal_to_the_bit(arith: Arith, tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        assert arith("train", *TINY, "--deterministic", "--encoding", "t5+abacus", "--out", name).exit_code == 0
        manifest = next((tmp_path / name / "checkpoints").iterdir()) / "MANIFEST.json"
        digests.append(json.loads(manifest.read_text())["model.safetensors"]["sha256"])
    assert digests[0] == digests[1]
    assert not torch.are_deterministic_algorithms_enabled()
