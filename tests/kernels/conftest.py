"""The kernels run in Triton's interpreter here, with bfloat16 as the hardware has it.

In every version up to 3.9, the interpreter multiplies the bit patterns of bfloat16 as integers, and cuts off where
hardware rounds to nearest even (triton issues 4972 and 11584). A fixture puts both right.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle


def widened(bits: np.ndarray) -> np.ndarray:
    """The float32 of each bfloat16, which is stored as its bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(values: np.ndarray) -> np.ndarray:
    """The bits of the nearest bfloat16, to even in a tie; NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    nearest = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), nearest)


def is_bfloat16(handle: Any) -> bool:
    return bool(handle.dtype.scalar == tl.bfloat16)


@pytest.fixture
def oldest() -> Path:
    """A folder with Triton 3.6, as the GPU images of today have it, and what it needs that is older than ours."""
    folder = Path(sys.prefix) / "oldest"
    if not folder.is_dir():
        pytest.skip(f"no triton 3.6 in {folder}; make test-slow installs it")
    return folder


@pytest.fixture(autouse=True)
def bfloat16_as_hardware() -> Iterator[None]:
    """bfloat16 is multiplied, added and rounded as on a GPU."""
    dot, cast, convert, binary = (
        getattr(InterpreterBuilder, name) for name in ("create_dot", "cast_impl", "create_fp_to_fp", "binary_op")
    )

    def create_dot(self: Any, a: Any, b: Any, d: Any, *rest: Any) -> Any:
        a, b = (TensorHandle(widened(x.data), tl.float32) if is_bfloat16(x) else x for x in (a, b))
        return dot(self, a, b, d, *rest)

    def cast_impl(self: Any, source: Any, target: Any) -> Any:
        if is_bfloat16(source):
            wide = TensorHandle(widened(source.data), tl.float32)
            return wide if target.scalar == tl.float32 else cast(self, wide, target)
        if target.scalar == tl.bfloat16:
            return TensorHandle(rounded(source.data.astype(np.float32)), tl.bfloat16)
        return cast(self, source, target)

    def create_fp_to_fp(self: Any, source: Any, target: Any, rounding: Any) -> Any:
        if is_bfloat16(source) or target.scalar == tl.bfloat16:
            return cast_impl(self, source, target)
        return convert(self, source, target, rounding)

    def binary_op(self: Any, one: Any, other: Any, op: Any) -> Any:
        if not (is_bfloat16(one) and is_bfloat16(other)):
            return binary(self, one, other, op)
        result = op(widened(one.data), widened(other.data))
        return TensorHandle(result if result.dtype == bool else rounded(result), tl.bfloat16)

    patched = {
        "create_dot": create_dot,
        "cast_impl": cast_impl,
        "create_fp_to_fp": create_fp_to_fp,
        "binary_op": binary_op,
    }
    for name, function in patched.items():
        setattr(InterpreterBuilder, name, function)
    # The builder's shorthands hold the original functions.
    shorthands = {name: getattr(InterpreterBuilder, name) for name in ("create_fp_ext", "create_fp_trunc")}
    InterpreterBuilder.create_fp_ext = InterpreterBuilder.create_fp_trunc = cast_impl
    try:
        yield
    finally:
        for name, function in zip(patched, (dot, cast, convert, binary), strict=True):
            setattr(InterpreterBuilder, name, function)
        for name, function in shorthands.items():
            setattr(InterpreterBuilder, name, function)
