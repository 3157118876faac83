"""What position schemes draw for a sample: a hash of its key, the same on every device and in every batch.

    word[i] = mix(key + mix(i golden))        i = use 2**32 + 1, 2, 3, ...

mix is the finaliser of SplitMix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014), in 64-bit
integers that wrap around.
"""

from enum import IntEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor

BITS = 30
WORDS = 1 << BITS


_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # torch has signed integers only
_ROUNDS = (30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64)
_AT_ONCE = 2**20  # words, so that a large batch needs no large memory


class Use(IntEnum):
    """What words are for. Each use has words of its own, which data do not use either."""

    ORIGIN = 2**16 + 1
    NUMBER = 2**16 + 2
    SUBSET = 2**16 + 3
    CHUNKS = 2**16 + 4
    SKIPS = 2**16 + 5
    PLACE = 2**16 + 6
    TAGS = 1
    SHIFT = 2
    JITTER = 3
    SCALE = 4


def words(key: Int[Tensor, " b"], use: Use, count: int) -> Int[Tensor, "b count"]:
    """64 random bits each; those of one sample all differ.

    >>> words(torch.tensor([7]), Use.SUBSET, 2).tolist()
    [[-3867850551035463897, 2489057136686056705]]
    """
    place = torch.arange(1, count + 1, device=key.device) + (use << 32)
    return _mix(key[:, None] + _mix(place * _GOLDEN))


def below(words: Int[Tensor, "..."], bound: int | Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Integers in 0 .. bound - 1. Some are likelier than others by at most bound / 2**63."""
    return _shifted(words, 1) % bound


def subset(key: Int[Tensor, " b"], use: Use, size: int, count: int) -> Int[Tensor, "b size"]:
    """Of 0 .. count - 1 as many as `size`, ascending, every subset as likely as every other.

    >>> subset(torch.tensor([7, 8]), Use.SUBSET, 3, 100).tolist()
    [[20, 45, 51], [20, 22, 40]]
    """
    rows = max(1, _AT_ONCE // max(count, 1))
    found = [words(part, use, count).topk(size, sorted=False).indices.sort().values for part in torch.split(key, rows)]
    return torch.cat(found)


def _mix(values: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Changes `values`, too: words by the million are drawn."""
    for bits, factor in _ROUNDS:
        values ^= _shifted(values, bits)
        values *= factor
    values ^= _shifted(values, 31)
    return values


def _shifted(values: Int[Tensor, "..."], bits: int) -> Int[Tensor, "..."]:
    """To the right, zeros from the left."""
    shifted = values >> bits
    shifted &= (1 << 64 - bits) - 1
    return shifted


def mixed(values: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Scattered words; different words stay different.

    >>> mixed(torch.arange(4)).tolist()
    [0, 114555507, 920388112, 379873645]
    """
    words = values & (WORDS - 1)
    words = ((words ^ (words >> 16)) * 0x21F0AAAD) & (WORDS - 1)
    words = ((words ^ (words >> 15)) * 0x335A2D97) & (WORDS - 1)
    scattered: Tensor = words ^ (words >> 15)
    return scattered


def drawn(key: Int[Tensor, "..."], use: Use, place: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """A word for each place of each sample; those of one sample and one use differ."""
    return mixed(mixed(place ^ key) ^ (key >> BITS) ^ use)


def uniform(words: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
    """From 0 to below 1, in double precision."""
    numbers: Tensor = words.double() / WORDS
    return numbers


def normal(words: Int[Tensor, "... 2m"], dtype: torch.dtype) -> Float[Tensor, "... 2m"]:
    """As many independent numbers of mean 0 and variance 1: Box and Muller's transform. None is beyond 5.8.

    Args:
        words: independent ones.
        dtype: float32 or float64; the numbers are the same to its precision.
    """
    # The highest 24 bits and 1 are exact in float32, and the logarithm of 0 is not taken.
    first, second = (((words >> (BITS - 24)) + 1).to(dtype) / 2**24).chunk(2, dim=-1)
    radius, angle = (-2 * first.log()).sqrt(), 2 * torch.pi * second
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)
