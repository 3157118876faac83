"""What is foretold of GPUs that are not here follows from what is counted."""

import dataclasses
import doctest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaling_study.forecast import NETWORK, NODE, NVLINK, Machine, assumed_mfu, plan

from arith.config.presets import PRESETS
from arith.config.schema import ModelConfig
from arith.model.cost import palm_flops
from arith.performance.gpus import GPUS

MODEL, PARAMETERS = ModelConfig(**PRESETS["gpt2-small"]), 85_000_000


@given(doublings=st.integers(0, 9), rows=st.integers(1, 64))
def test_twice_the_gpus_halve_the_arithmetic_and_never_the_exchange(doublings: int, rows: int) -> None:
    gpus, rows = 2**doublings, rows * 2**10
    one, two = (plan(MODEL, PARAMETERS, rows, 63, Machine(n), mfu=0.4) for n in (gpus, 2 * gpus))
    assert two.arithmetic_seconds == pytest.approx(one.arithmetic_seconds / 2)
    assert two.exchange_seconds > one.exchange_seconds
    assert two.bytes < one.bytes
    # However many there are, each gradient is sent and received twice at most.
    assert two.exchange_seconds < 2 * 4 * PARAMETERS / Machine(2 * gpus).link


def test_one_gpu_exchanges_nothing_and_does_all_the_arithmetic() -> None:
    alone = plan(MODEL, PARAMETERS, 1024, 63, Machine(), mfu=0.5)
    assert alone.exchange_seconds == 0
    flops = 1024 * 63 * palm_flops(MODEL, PARAMETERS, 63)
    assert alone.step_seconds == pytest.approx(flops / (0.5 * GPUS["NVIDIA H100 80GB HBM3"].flops))


def test_eight_gpus_exchange_by_nvlink_and_nine_by_the_network() -> None:
    assert (Machine(NODE).link, Machine(NODE + 1).link) == (NVLINK, NETWORK)


def test_odd_rows_make_the_fullest_gpu_the_measure() -> None:
    nine, ten = (plan(MODEL, PARAMETERS, rows, 63, Machine(2), mfu=0.4).arithmetic_seconds for rows in (9, 10))
    assert nine == ten


def test_memory_decides_what_fits() -> None:
    assert plan(MODEL, PARAMETERS, 1024, 63, Machine(), mfu=0.4).fits
    assert not plan(MODEL, PARAMETERS, 2**15, 63, Machine(), mfu=0.4).fits
    assert plan(MODEL, PARAMETERS, 2**15, 63, Machine(16), mfu=0.4).fits


def test_narrow_models_have_no_assumed_share() -> None:
    wide = dataclasses.replace(MODEL, width=2048)
    assert assumed_mfu(wide.width) == assumed_mfu(768)
    assert assumed_mfu(128) is None


def test_the_page_that_shows_the_arithmetic_is_right(root: Path) -> None:
    failed, tried = doctest.testfile(str(root / "docs" / "scaling.md"), module_relative=False)
    assert (failed, tried > 15) == (0, True)
