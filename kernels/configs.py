"""How each kernel is launched: warps, stages of loads in flight, and programs that fit on one multiprocessor."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeVar

import torch

Kernel = Literal["forward", "backward", "backward and tile", "table"]
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


@dataclass(frozen=True)
class Config:
    """How to launch one kernel at one size of tile.

    Args:
        warps: warps of a program.
        stages: loads in flight in the loop over the batch.
        programs: how many a multiprocessor holds at once; the batch is shared among as many as all hold.
    """

    warps: int
    stages: int
    programs: int


LONGEST = 128  # tokens of a sample that fits one tile
PACKED = 64  # rows of a tile that several shorter samples share: what four warps multiply in one instruction of an H100
WIDEST = 128  # head width
BLOCK_IDS = 64  # ids in one block of the table's gradient

# By kernel and rows of the tile. `programs` is what registers and shared memory allow at a head width of 64 in 16 bits
# (tests/golden/kernel-resources.txt).
HOPPER: dict[tuple[Kernel, int], Config] = {
    ("forward", 64): Config(warps=4, stages=2, programs=3),
    ("forward", 128): Config(warps=8, stages=2, programs=1),
    ("backward", 64): Config(warps=4, stages=2, programs=3),
    ("backward", 128): Config(warps=8, stages=2, programs=1),
    ("backward and tile", 64): Config(warps=4, stages=2, programs=2),
    ("backward and tile", 128): Config(warps=8, stages=2, programs=1),
    ("table", 64): Config(warps=8, stages=1, programs=1),
    ("table", 128): Config(warps=8, stages=1, programs=1),
}
# Before compute capability 9.0, products take their operands from registers, which are scarce: one stage, more warps.
AMPERE: dict[tuple[Kernel, int], Config] = {
    ("forward", 64): Config(warps=4, stages=1, programs=3),
    ("forward", 128): Config(warps=8, stages=1, programs=1),
    ("backward", 64): Config(warps=8, stages=1, programs=1),
    ("backward", 128): Config(warps=8, stages=1, programs=1),
    ("backward and tile", 64): Config(warps=8, stages=1, programs=1),
    ("backward and tile", 128): Config(warps=8, stages=1, programs=1),
    ("table", 64): Config(warps=8, stages=1, programs=1),
    ("table", 128): Config(warps=8, stages=1, programs=1),
}
SIZES = (16, 32, 64, 128)  # of tiles along tokens and head width
STAGED_BYTES = 16_384  # largest tile of one operand for which shared memory has room for a second stage
ROOMY_BYTES = 8_192  # largest tile of one operand at which all of `programs` fit on a multiprocessor
# Of a row of queries and what they ask with, beyond 64 tokens, in 16 bits: more spills thousands of bytes a thread. In
# 32 bits, code of Triton 3.6 takes more shared memory than there is.
ASKED_BYTES = 320
SHARED_BYTES = 160_000  # shared memory that a program must be able to get: A100 and H100 give more, most others less


@dataclass(frozen=True)
class Blocks:
    """The tile of one call.

    Args:
        pack: number of samples in it.
        queries, keys, width: sizes of each sample, rounded up to powers of two.
    """

    pack: int
    queries: int
    keys: int
    width: int

    @property
    def rows(self) -> int:
        """Rows of the tile; 64 where it has fewer, as configurations are listed for 64 and 128."""
        return max(PACKED, self.pack * max(self.queries, self.keys))

    def operand_bytes(self, itemsize: int) -> int:
        """Bytes of the largest tile among queries, keys and values."""
        return self.rows * self.width * itemsize

    def constants(self, queries: int, keys: int, width: int) -> dict[str, int | bool]:
        """Sizes that a kernel knows at compile time; EVEN: no row is padding, so that masks fall away."""
        return {
            "WIDTH": width,
            "EVEN_Q": self.queries == queries,
            "EVEN_K": self.keys == keys,
            "BLOCK_Q": self.queries,
            "BLOCK_K": self.keys,
            "BLOCK_D": self.width,
        }


def tile_size(size: int) -> int:
    """Tokens or head width, rounded up to a size that tiles have.

    >>> tile_size(20)
    32
    """
    return next(fits for fits in SIZES if size <= fits)  # by comparisons only: under torch.compile it may be symbolic


def blocks(queries: int, keys: int, width: int, packed: bool = True) -> Blocks:
    """The tile for samples of this size.

    >>> blocks(20, 20, 64)
    Blocks(pack=2, queries=32, keys=32, width=64)
    """
    q, k, d = map(tile_size, (queries, keys, width))
    return Blocks(max(1, PACKED // max(q, k)) if packed else 1, q, k, d)


def too_large(keys: int, width: int, itemsize: int, state: int = 0) -> str | None:
    """Why no kernel can hold samples of this size; None if one can.

    Args:
        state: width of what queries ask a table with; 0 without one.
    """
    if keys > LONGEST:
        return f"the fused kernels hold up to {LONGEST} tokens"
    if width > WIDEST:
        return f"the fused kernels hold head widths up to {WIDEST}"
    if itemsize == 4 and keys > 64 and width > 64:
        return "more than 64 tokens with heads wider than 64, in 32 bits, are more than shared memory holds"
    row = (tile_size(width) + tile_size(min(state, WIDEST))) * itemsize
    if state > 0 and keys > 64 and (itemsize > 2 or row > ASKED_BYTES):
        return (
            f"more than 64 tokens that ask by {state} numbers, with heads of {width}, are too large in {itemsize} bytes"
        )
    return None


@cache
def _properties(device: torch.device) -> Any:
    return torch.cuda.get_device_properties(device)


def constant_in_graphs(function: AnyFunction) -> AnyFunction:
    """Have `torch.compile` call a function while it traces and keep the answer, not trace or break at the question."""
    marked: AnyFunction = torch.compiler.assume_constant_result(function)  # type: ignore[no-untyped-call]
    return marked


@constant_in_graphs
def unfit(device: torch.device) -> str | None:
    """Why a GPU cannot run the kernels; None if it can."""
    if torch.version.hip is not None:
        return "the fused kernels are for NVIDIA's GPUs"
    properties = _properties(device)
    if properties.major < 8 or getattr(properties, "shared_memory_per_block_optin", SHARED_BYTES) < SHARED_BYTES:
        return f"the fused kernels need a GPU like A100 or H100, with {SHARED_BYTES} bytes of shared memory a program"
    return None


@constant_in_graphs
def capability(device: torch.device) -> int:
    """Compute capability of a GPU, 90 for 9.0; that of an H100 on a CPU, where kernels are interpreted."""
    if device.type != "cuda":
        return 90
    properties = _properties(device)
    return 10 * int(properties.major) + int(properties.minor)


def config(kernel: Kernel, tile: Blocks, itemsize: int, capability: int = 90, state: int = 0) -> Config:
    """How to launch a kernel on tiles of this size.

    Args:
        itemsize: bytes of a number.
        capability: compute capability of the device, 90 for 9.0.
        state: width of what queries ask a table with; 0 without one.
    """
    found = (HOPPER if capability >= 90 else AMPERE)[kernel, tile.rows]
    held = tile.operand_bytes(itemsize)
    if held > STAGED_BYTES or (itemsize == 4 and tile.rows == 128):
        found = replace(found, stages=1)
    if held > ROOMY_BYTES:
        found = replace(found, programs=min(found.programs, 2 if kernel == "forward" else 1))
    if state > 0 and tile.rows == 128:  # turning rows takes as much shared memory as a stage
        found = replace(found, stages=1)
    if state > 16:
        found = replace(found, programs=min(found.programs, 2))
    return found
