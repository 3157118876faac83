"""How kernels are launched from torch: where, on what memory, with which options."""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from arith.kernels.configs import Config
from arith.kernels.long_configs import LongConfig


def run(kernel: Any, grid: tuple[int, ...], first: Tensor, *arguments: Any, **constants: Any) -> None:
    """Launch a kernel on the device of its first argument, which need not be the current one."""
    with torch.cuda.device_of(first):  # type: ignore[no-untyped-call]
        kernel[grid](first, *arguments, **constants)


def token_major(x: Tensor, heads: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """An empty "b h n d" that lies in memory as "b n h d", which a projection over all heads reads without a copy."""
    b, h, n, d = x.shape
    return torch.empty(b, n, heads or h, d, dtype=dtype or x.dtype, device=x.device).transpose(1, 2)


def sum_type(q: Tensor) -> torch.dtype:
    """The type of sums, and of tables of scores: float32 however short the inputs are, float64 for float64."""
    return torch.float64 if q.dtype == torch.float64 else torch.float32


def empty_sums(q: Tensor, *shape: int) -> Tensor:
    """An uninitialised tensor for sums."""
    return q.new_empty(shape, dtype=sum_type(q))


def strides(*tensors: Tensor) -> tuple[int, ...]:
    """The strides of batch, heads and tokens of each tensor; along the head width it is 1."""
    return tuple(stride for x in tensors for stride in x.stride()[:3])


def arithmetic(q: Tensor) -> dict[str, Any]:
    """The type of sums, and how 32-bit numbers are multiplied."""
    # tf32x3 splits each factor in two of 19 bits: three products on tensor cores keep nearly all of 32-bit precision.
    return {
        "ACC": tl.float64 if q.dtype == torch.float64 else tl.float32,
        "PRECISION": "tf32x3" if q.dtype == torch.float32 and _exact() else "tf32",
    }


def _exact() -> bool:
    """Whether torch is set to multiply 32-bit numbers in full precision."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # it was set through torch's newer, finer settings
        return bool(torch.backends.cuda.matmul.fp32_precision != "tf32")


def options(launch: Config | LongConfig) -> dict[str, Any]:
    """A configuration as the keyword arguments of a Triton launch."""
    return {"num_warps": launch.warps, "num_stages": launch.stages, "enable_fp_fusion": True}


def multiprocessors(device: torch.device) -> int:
    """Number of multiprocessors of a GPU. A CPU, where kernels are interpreted, counts as a tiny one."""
    return 2 if device.type == "cpu" else int(torch.cuda.get_device_properties(device).multi_processor_count)
