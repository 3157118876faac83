"""How kernels are launched from torch: where, on what memory, with which options."""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from arith.kernels.configs import Config
from arith.kernels.long_configs import LongConfig


def run(kernel: Any, grid: tuple[int, ...], first: Tensor, *arguments: Any, **constants: Any) -> None:
    """Launch where the tensors are, which need not be the current device."""
    with torch.cuda.device_of(first):  # type: ignore[no-untyped-call]
        kernel[grid](first, *arguments, **constants)


def token_major(x: Tensor, heads: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """An empty "b h n d" that lies in memory as "b n h d", the layout that a projection over all heads reads."""
    b, h, n, d = x.shape
    return torch.empty(b, n, heads or h, d, dtype=dtype or x.dtype, device=x.device).transpose(1, 2)


def empty_sums(q: Tensor, *shape: int) -> Tensor:
    """Empty sums, in 32 bits or in those of doubles."""
    return q.new_empty(shape, dtype=torch.float64 if q.dtype == torch.float64 else torch.float32)


def strides(*tensors: Tensor) -> tuple[int, ...]:
    """Of batch, heads and tokens."""
    return tuple(stride for x in tensors for stride in x.stride()[:3])


def arithmetic(q: Tensor) -> dict[str, Any]:
    """What sums are kept in, and how products of 32-bit numbers are made."""
    # Three products of 19-bit numbers keep the precision of 32 bits on the fast units.
    return {
        "ACC": tl.float64 if q.dtype == torch.float64 else tl.float32,
        "PRECISION": "tf32x3" if q.dtype == torch.float32 and _exact() else "tf32",
    }


def _exact() -> bool:
    """Whether products of 32-bit numbers are asked for in full."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # it was set through torch's newer, finer settings
        return bool(torch.backends.cuda.matmul.fp32_precision != "tf32")


def options(launch: Config | LongConfig) -> dict[str, Any]:
    """As Triton takes them."""
    return {"num_warps": launch.warps, "num_stages": launch.stages, "enable_fp_fusion": True}


def multiprocessors(device: torch.device) -> int:
    """Of a GPU; a CPU counts as a tiny one."""
    return 2 if device.type == "cpu" else int(torch.cuda.get_device_properties(device).multi_processor_count)
