"""How each kernel for sequences of any length is launched."""

from dataclasses import dataclass, replace
from typing import Literal

LongKernel = Literal["long forward", "long queries", "long keys", "long table", "long values"]


@dataclass(frozen=True)
class LongConfig:
    """How to launch a kernel for sequences of any length.

    Args:
        queries, keys: tokens of a tile.
        warps, stages: as in `Config`.
    """

    queries: int
    keys: int
    warps: int
    stages: int


# Copies of a token table's first and last score beside them, twice the tokens of the largest tile's side: a lookup
# inside a tile then needs no limits of its own.
EDGE = 256
LONG_TABLE = 64  # tokens along either side of the tiles whose diagonals make a table's gradient
# By kernel and whether heads are wider than 64, for 16 bits. What they compile to is in
# tests/golden/long-kernel-resources.txt; how fast they are is not yet measured.
LONG: dict[tuple[LongKernel, bool], LongConfig] = {
    ("long forward", False): LongConfig(128, 64, warps=8, stages=2),
    ("long forward", True): LongConfig(128, 64, warps=8, stages=2),
    ("long queries", False): LongConfig(64, 64, warps=4, stages=2),
    ("long queries", True): LongConfig(64, 64, warps=8, stages=2),
    ("long keys", False): LongConfig(64, 64, warps=4, stages=2),
    ("long keys", True): LongConfig(64, 64, warps=8, stages=2),
    ("long table", False): LongConfig(LONG_TABLE, LONG_TABLE, warps=8, stages=1),
    ("long table", True): LongConfig(LONG_TABLE, LONG_TABLE, warps=8, stages=1),
    ("long values", False): LongConfig(LONG_TABLE, LONG_TABLE, warps=4, stages=1),
    ("long values", True): LongConfig(LONG_TABLE, LONG_TABLE, warps=4, stages=1),
}
# The same where queries ask of a table. With 8 warps, products of 64 queries by 16 numbers leave half of them idle: a
# score takes twice the instructions (`kernel_checks/instructions.py`); states and values 128 wide fit beside a head.
ASKED: dict[LongKernel, LongConfig] = {
    "long forward": LongConfig(64, 64, warps=4, stages=2),
    "long queries": LongConfig(64, 64, warps=4, stages=1),
    "long keys": LongConfig(64, 64, warps=4, stages=1),
}


def long_config(kernel: LongKernel, width: int, itemsize: int, capability: int = 90, asked: bool = False) -> LongConfig:
    """How to launch a kernel for sequences of any length; arguments as those of `config`.

    Args:
        asked: queries ask of a table.
    """
    found = ASKED[kernel] if asked and kernel in ASKED else LONG[kernel, width > 64]
    if itemsize > 2:  # smaller tiles, so that shared memory holds them
        size = LONG_TABLE if kernel in ("long table", "long values") else 32
        found = replace(found, queries=size, keys=size, warps=8, stages=1)
    return found if capability >= 90 else replace(found, stages=1, warps=8)
