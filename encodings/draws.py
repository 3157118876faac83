"""What encodings and position schemes draw for a sample: hashes of its key, the same on any device, in any batch.

There are two constructions, because ids and counts need different words.

    words of 64 bits    word[i] = mix64(key + mix64(golden (2**32 use + i)))              i = 1, 2, ...
    words of 30 bits    word[i] = mix30(mix30(i ^ key) ^ (key >> 30) ^ use)

mix64 is the finaliser of SplitMix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014), in
integers that wrap around. Bounded integers and subsets are drawn from these: the wider a word, the smaller the bias.
mix30 is a hash of the kind found by search in Wellons, "Prospecting for Hash Functions", 2018: a multiplication between
shifts, twice. Words have 30 bits, so that ids made of them fit the 32 bits that kernels give an id, and the product of
two never overflows 64.
"""

from enum import IntEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Use(IntEnum):
    """What words are for: each use has words of its own. The numbers may not change, or every draw would."""

    # Of 64 bits. Far above the uses of `arith.tasks.stream`, which hashes the same keys in the same way for data.
    ORIGIN = 2**16 + 1
    NUMBER = 2**16 + 2
    SUBSET = 2**16 + 3
    CHUNKS = 2**16 + 4
    SKIPS = 2**16 + 5
    PLACE = 2**16 + 6
    # Of 30 bits.
    TAGS = 1
    SHIFT = 2
    JITTER = 3
    SCALE = 4


# Words of 64 bits.

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2**64 divided by the golden ratio; torch has signed integers only
_ROUNDS = (30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64)  # shift and factor
_AT_ONCE = 2**20  # words, so that a large batch needs no large memory


def words(key: Int[Tensor, " b"], use: Use, count: int) -> Int[Tensor, "b count"]:
    """Words of 64 bits; those of one sample all differ.

    >>> words(torch.tensor([7]), Use.SUBSET, 2).tolist()
    [[-3867850551035463897, 2489057136686056705]]
    """
    place = torch.arange(1, count + 1, device=key.device) + (use << 32)
    return _mix64(key[:, None] + _mix64(place * _GOLDEN))


def below(words: Int[Tensor, "..."], bound: int | Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Integers in 0 .. bound - 1. Some are likelier than others by at most bound / 2**63.

    >>> below(words(torch.tensor([7, 8]), Use.ORIGIN, 3), 10).tolist()
    [[8, 2, 8], [8, 4, 2]]
    """
    # The lowest bit is dropped, for a word that is not negative.
    return _shift_right(words, 1) % bound


def subset(key: Int[Tensor, " b"], use: Use, size: int, count: int) -> Int[Tensor, "b size"]:
    """`size` of the integers 0 .. count - 1, ascending, every subset as likely as every other.

    >>> subset(torch.tensor([7, 8]), Use.SUBSET, 3, 100).tolist()
    [[20, 45, 51], [20, 22, 40]]
    """
    # Where the largest of `count` different words stand: no integer is drawn twice, and nothing is redrawn.
    rows = max(1, _AT_ONCE // max(count, 1))
    found = [words(part, use, count).topk(size, sorted=False).indices.sort().values for part in torch.split(key, rows)]
    return torch.cat(found)


def _mix64(values: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """A bijection that scatters words. It works in place: words are drawn by the million."""
    for bits, factor in _ROUNDS:
        values ^= _shift_right(values, bits)
        values *= factor
    values ^= _shift_right(values, 31)
    return values


def _shift_right(values: Int[Tensor, "..."], bits: int) -> Int[Tensor, "..."]:
    """A shift that fills with zeros; torch's own repeats the sign."""
    shifted = values >> bits
    shifted &= (1 << 64 - bits) - 1
    return shifted


# Words of 30 bits.

BITS = 30
WORDS = 1 << BITS


def mix30(values: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """A bijection that scatters words: different words stay different.

    >>> mix30(torch.arange(4)).tolist()
    [0, 114555507, 920388112, 379873645]
    """
    # Odd factors have an inverse modulo 2**30, and an xor with a shift can be undone: no word is lost.
    words = values & (WORDS - 1)
    words = ((words ^ (words >> 16)) * 0x21F0AAAD) & (WORDS - 1)
    words = ((words ^ (words >> 15)) * 0x335A2D97) & (WORDS - 1)
    mixed: Tensor = words ^ (words >> 15)
    return mixed


def draw30(key: Int[Tensor, "..."], use: Use, place: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """A word of 30 bits for each place of each sample; those of one sample and one use differ.

    >>> draw30(torch.tensor(7), Use.TAGS, torch.arange(1, 4)).tolist()
    [419222238, 502082011, 504850172]
    """
    # Two rounds, as a word holds half of a key: its lower 30 bits meet the place, the 30 above them what comes of that.
    return mix30(mix30(place ^ key) ^ (key >> BITS) ^ use)


def uniform(words: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Words of 30 bits as numbers from 0 to below 1, in double precision."""
    numbers: Tensor = words.double() / WORDS
    return numbers


def normal(words: Int[Tensor, "... 2m"], dtype: torch.dtype) -> Float[Tensor, "... 2m"]:
    """As many independent numbers of mean 0 and variance 1, by the transform of Box and Muller; none is beyond 5.8.

    Args:
        words: independent words of 30 bits, an even number of them.
        dtype: float32 or float64; the numbers are the same to its precision.
    """
    # The highest 24 bits and 1 are exact in float32, and the logarithm of 0 is not taken.
    first, second = (((words >> (BITS - 24)) + 1).to(dtype) / 2**24).chunk(2, dim=-1)
    radius, angle = (-2 * first.log()).sqrt(), 2 * torch.pi * second
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)
