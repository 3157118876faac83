"""Random numbers that depend on nothing but their key.

Raw output of Philox4x64 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011) and a bounded draw
of our own: NumPy promises the raw output of a bit generator for ever, but not what its distributions make of it.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, UInt64

# Part of what the data are: with blocks of another size every problem would be another.
BLOCK = 1024  # rows that are drawn together
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

# 2**64 divided by the golden ratio: multiples of it, taken modulo 2**64, lie far apart.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def check_seed(seed: int) -> None:
    """Raise if a number cannot be a seed."""
    # One bit less than a word has, since seeds also pass through signed integers.
    if not 0 <= seed < 2**63:
        raise ValueError(f"a seed is an integer from 0 to 2**63 - 1, got {seed}")


class Stream:
    """The random numbers of one block of one split of one seed.

    Args:
        seed: 0 to 2**63 - 1.
        split: which of the three data sets.
        block: index of the block of rows.
        purpose: a number below 2**30; each purpose has random numbers of its own.

    >>> Stream(seed=1, split="train", block=0).below(10, (5,)).tolist()
    [4, 3, 7, 8, 4]
    """

    def __init__(self, seed: int, split: Split, block: int, purpose: int = 0) -> None:
        check_seed(seed)
        if not 0 <= block < 2**32 or not 0 <= purpose < 2**30:
            raise ValueError(f"a block is below 2**32 and a purpose below 2**30, got {block} and {purpose}")
        # A key has two words: the seed, then 2 bits of split, 30 of purpose and 32 of block. So no two streams share a
        # key, and a block is reached without drawing those before it.
        key = np.array([seed, (SPLITS.index(split) << 62) | (purpose << 32) | block], dtype=np.uint64)
        self.block = block
        self._philox = np.random.Philox(key=key)

    def halves(self, shape: tuple[int, ...]) -> UInt64[np.ndarray, "..."]:
        """Uniform 32-bit numbers, in 64 bits."""
        count = math.prod(shape)
        words = self._philox.random_raw((count + 1) // 2)
        # Each raw word gives two numbers, the lower half first: the byte order is fixed, so that every machine has the
        # same.
        return np.asarray(words, dtype="<u8").view("<u4")[:count].reshape(shape).astype(np.uint64)

    def below(self, bound: int | Int[np.ndarray, "..."], shape: tuple[int, ...]) -> Int[np.ndarray, "..."]:
        """Integers in 0 .. bound - 1. Some are likelier than others by at most bound / 2**32."""
        return scale(self.halves(shape), bound).astype(np.int64)


def scale(halves: UInt64[np.ndarray, "..."], bound: int | Int[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """Uniform 32-bit numbers as integers in 0 .. bound - 1."""
    # The high bits of a product rather than a remainder: nothing is refused and redrawn, so each number drawn takes
    # exactly one from the stream. 32 bits times a bound of up to 2**32 fit a word.
    product = halves * np.asarray(bound).astype(np.uint64)
    product >>= np.uint64(32)
    return product


def mix(values: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """A bijection that scatters 64-bit words: the finaliser of SplitMix64 (Steele et al., 2014)."""
    # Overflow is intended: NumPy's unsigned arrays wrap around modulo 2**64.
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def scatter(values: Int[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """64 random bits for each integer: SplitMix64's output at that place."""
    # `mix` leaves 0 as it is, so places begin at 1.
    return mix((np.asarray(values).astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def sample_keys(seed: int, split: Split, start: int, count: int) -> Int[np.ndarray, " n"]:
    """A non-negative 63-bit key for each sample, from which encodings take what they draw.

    >>> sample_keys(0, "test", 5, 2)[0] == sample_keys(0, "test", 0, 6)[5]
    np.True_
    """
    stream = mix(scatter(np.array([seed])) + np.uint64(SPLITS.index(split)))
    # torch calculates with signed integers, and encodings get these keys: the sign's bit stays free.
    return (mix(scatter(np.arange(start, start + count)) + stream) >> np.uint64(1)).astype(np.int64)


class Use(IntEnum):
    """What a sample's random numbers are for. Each use has numbers of its own."""

    # These numbers are part of every draw: new uses get new ones, and none is given twice.
    SPACES = 1
    SPACES_SHARE = 2
    HINTS = 3
    WORDING = 4
    MIXTURE = 5
    OPERANDS = 6
    STATES = 7
    LOOPS = 8
    NAMES = 9
    CLAUSES = 10
    ELEMENTS = 11
    STEP_LOOPS = 12
    SWAP = 13
    PADDING = 14
    BLANKS = 15


@dataclass(frozen=True)
class Draws:
    """Random numbers for each sample of a batch, a function of its key alone.

    Args:
        keys: the samples' keys.
        split: the split they belong to.

    >>> draws, more = Draws.at(0, "test", start=5, count=2), Draws.at(0, "test", start=0, count=6)
    >>> bool((draws.halves(Use.HINTS)[0] == more.halves(Use.HINTS)[5]).all())
    True
    """

    keys: Int[np.ndarray, " n"]
    split: Split

    @staticmethod
    def at(seed: int, split: Split, start: int, count: int) -> "Draws":
        """The draws of samples `start` to `start + count - 1`."""
        return Draws(sample_keys(seed, split, start, count), split)

    def __getitem__(self, rows: slice | Bool[np.ndarray, " n"]) -> "Draws":
        return Draws(self.keys[rows], self.split)

    def halves(self, use: Use, columns: int = 1) -> UInt64[np.ndarray, "n columns"]:
        """Uniform 32-bit numbers, in 64 bits."""
        # Columns stay below 2**32, so places of two uses never meet; a wider request leaves the first columns as they
        # are.
        place = scatter(np.arange(columns) + (use << 32))
        drawn: np.ndarray = mix(self.keys.astype(np.uint64)[:, None] + place)
        return drawn >> np.uint64(32)
