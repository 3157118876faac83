"""How throughput is told."""

import dataclasses

import pytest

from arith.performance.throughput import Throughput
from arith.performance.throughput_report import as_json, comparison, describe


def measured(**changes: object) -> Throughput:
    usual = Throughput(
        device="NVIDIA H100 80GB HBM3",
        precision="bfloat16",
        compiled=False,
        parameters=10**6,
        rows=10,
        seconds=(1.0, 2.0, 6.0),
        data_seconds=0.5,
        waits_for_data=False,
        tokens=600.0,
        padded_tokens=800.0,
        flops=5e9,
        palm=6 * 10**6,
        state_bytes=12 * 10**6,
        peak_bytes=2**20,
    )
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def test_padding_and_data_count_as_they_should() -> None:
    gpu, cpu = measured(), measured(waits_for_data=True)
    assert (gpu.step_seconds, cpu.step_seconds) == (2.0, 2.5)
    assert (cpu.samples_per_second, cpu.tokens_per_second) == (4.0, 240.0)
    share, _ = gpu.mfu
    assert share == pytest.approx(6e6 * 600 / 2 / 989.4e12)
    assert as_json(gpu)["mfu"] == share
    assert "MFU" in describe(gpu)
    assert "12.0 bytes a parameter" in describe(gpu)
    assert "6 N + 12 L w n" in describe(gpu)


def test_mfu_is_not_told_of_an_unknown_device() -> None:
    unknown = measured(device="2 CPU cores")
    assert unknown.mfu[0] is None
    assert as_json(unknown)["mfu"] is None
    assert "not told: the peak of 2 CPU cores is not known" in describe(unknown)


def test_comparison_is_of_whole_steps() -> None:
    assert comparison([measured(), measured(compiled=True, seconds=(0.5,))]) == "compiled is 4.00 times as fast"
