"""Peaks of known devices."""

import pytest

from arith.performance.gpus import GPUS, utilisation


def test_share_of_a_peak_is_told_for_known_devices_only() -> None:
    share, said = utilisation("NVIDIA H100 80GB HBM3", "bfloat16", 2 * 989.4e12, 4.0)
    assert share == pytest.approx(0.5)
    assert "989 TFLOP/s" in said
    assert "data sheet" in said
    for device, precision in (("NVIDIA H100", "bfloat16"), ("AMD EPYC", "float32"), ("NVIDIA H200", "float32")):
        share, why = utilisation(device, precision, 1e15, 1.0)
        assert share is None
        assert (device if device not in GPUS else "bfloat16") in why
