"""How each kernel is launched: warps, stages of loads in flight, and programs that fit on one multiprocessor."""

from dataclasses import dataclass
from typing import Literal

Kernel = Literal["forward", "backward", "table"]


@dataclass(frozen=True)
class Config:
    """Of one kernel for tiles of one size.

    Args:
        warps: of a program.
        stages: loads in flight in the loop over the batch.
        programs: that a multiprocessor holds at once, and so how many share the work.
    """

    warps: int
    stages: int
    programs: int


LONGEST = 128  # tokens of a sample that fit one tile
PACKED = 64  # rows of a tile that shorter samples share
WIDEST = 128  # head width
BLOCK_IDS = 64  # ids that one block of the table's gradient covers

# By kernel and rows of the tile, for head widths up to 64 in 16 bits.
CONFIGS: dict[tuple[Kernel, int], Config] = {
    ("forward", 64): Config(warps=4, stages=2, programs=4),
    ("forward", 128): Config(warps=8, stages=1, programs=2),
    ("backward", 64): Config(warps=4, stages=1, programs=2),
    ("backward", 128): Config(warps=8, stages=1, programs=1),
    ("table", 64): Config(warps=4, stages=1, programs=2),
    ("table", 128): Config(warps=8, stages=1, programs=1),
}


@dataclass(frozen=True)
class Blocks:
    """The tile of one call.

    Args:
        pack: samples in it.
        queries, keys, width: of each sample, rounded up to powers of two.
    """

    pack: int
    queries: int
    keys: int
    width: int


def blocks(queries: int, keys: int, width: int, packed: bool = True) -> Blocks:
    """The tile for samples of this size.

    >>> blocks(20, 20, 64)
    Blocks(pack=2, queries=32, keys=32, width=64)
    """
    q, k, d = (max(16, 1 << (size - 1).bit_length()) for size in (queries, keys, width))
    return Blocks(max(1, PACKED // max(q, k)) if packed else 1, q, k, d)


def config(kernel: Kernel, tile: Blocks) -> Config:
    """How to launch a kernel for such tiles."""
    rows = max(64, tile.pack * max(tile.queries, tile.keys))
    return CONFIGS[kernel, rows]
