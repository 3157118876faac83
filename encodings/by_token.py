"""Position schemes that draw an id for each token from the sample's key.

    tags    a random number of 30 bits
    cape    floor(resolution * (i + u * shift + v[i] * jitter) * scale ** (2 w - 1))        i = 1, 2, ...

u, v[i] and w are uniform in 0 .. 1; u and w are one for the sample, v[i] is the token's own.

The key of a sample differs from epoch to epoch and from training to tests, so that every sequence is new.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arith.encodings.draws import WORDS, Use, draw30, uniform
from arith.encodings.positions import Prompt, Reading


class KeyState(NamedTuple):
    """Tokens so far, the key, and whether the sample is a test."""

    tokens: Int[Tensor, " b"]
    key: Int[Tensor, " b"]
    tested: Bool[Tensor, " b"]


@dataclass(frozen=True)
class _ByToken(ABC):
    """Ids that depend on the key and on the index of the token, and on nothing else."""

    levels = 1
    structure_aware = False
    ordered = True
    cyclic = False

    def check(self, reading: Reading) -> None:
        return

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "1 b n"]:
        index = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
        return self._ids(key[:, None], index[None], _is_test(prompt, key)[:, None])[None]

    def start(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> tuple[Int[Tensor, "1 b n"], KeyState]:
        return self.full(prompt, prompt.tokens, key, capacity), KeyState(prompt.length, key, _is_test(prompt, key))

    def step(self, token: Int[Tensor, " b"], state: KeyState) -> tuple[Int[Tensor, "1 b 1"], KeyState]:
        index = state.tokens + 1
        return self._ids(state.key, index, state.tested)[None, :, None], state._replace(tokens=index)

    @abstractmethod
    def _ids(
        self, key: Int[Tensor, "..."], index: Int[Tensor, "..."], tested: Bool[Tensor, "..."]
    ) -> Int[Tensor, "..."]:
        """Those of tokens, counted from 1."""


def _is_test(prompt: Prompt, key: Int[Tensor, " b"]) -> Bool[Tensor, " b"]:
    return torch.full_like(key, prompt.tested, dtype=torch.bool)


@dataclass(frozen=True)
class Tags(_ByToken):
    """A random number for each token, different from those of its sequence; it tells nothing of the order.

    For the random embedding of Shen et al., arXiv 2311.14737.

    >>> Tags().highest(tokens=12, digits=4) == 2**30
    True
    """

    ordered = False
    resolution = 1

    def highest(self, tokens: int, digits: int) -> int:
        return WORDS

    def _ids(
        self, key: Int[Tensor, "..."], index: Int[Tensor, "..."], tested: Bool[Tensor, "..."]
    ) -> Int[Tensor, "..."]:
        # Words begin at 0, which as an id means no position.
        return 1 + draw30(key, Use.TAGS, index)


@dataclass(frozen=True)
class CAPE(_ByToken):
    """The index of the token, shifted, jittered and scaled at random, in parts of a position.

    Likhomanenko et al., "CAPE", arXiv 2106.03143; the defaults are what they use for text. Their shift and jitter lie
    around 0; here they begin at 0, so that ids are positive, which moves the origin. The paper leaves positions as they
    are in tests: `tested=fixed`; without it every sample draws, so that tests see what training showed.

    Args:
        resolution: ids per position; an encoding that names `resolution` among its arguments is given it.
        shift: of a whole sample, in positions; 10 is their -5 .. 5.
        jitter: of each token, in positions; at most 1, so that ids never fall. 1 is their -1/2 .. 1/2.
        scale: positions lie between `scale` times as far apart and as near together.
        tested: ids of tests. `random`: drawn as in training. `fixed`: unscaled, and shifted by the mean of what shift
            and jitter give, resolution * (i + (shift + jitter) / 2) rounded down; the same for all samples.

    >>> CAPE(resolution=10, shift=2.0, jitter=0.5, scale=1.0).highest(tokens=20, digits=9)
    225
    """

    resolution: int = 100
    shift: float = 10.0
    jitter: float = 1.0
    scale: float = 1.03
    tested: Literal["random", "fixed"] = "random"

    def __post_init__(self) -> None:
        if not 0 <= self.shift < math.inf:
            raise ValueError(f"cape's shift is 0 or more, got {self.shift}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"cape's jitter is from 0 to 1, where tokens keep their order, got {self.jitter}")
        if not 1 <= self.scale < math.inf:
            raise ValueError(f"cape's scale is 1 or more, and as often divides as multiplies, got {self.scale}")
        if self.tested not in ("random", "fixed"):
            raise ValueError(f"tested is random or fixed, got {self.tested!r}")
        if self.resolution < self.scale:
            raise ValueError(
                f"cape's resolution is at least its scale, or first tokens have no id above 0: got "
                f"resolution={self.resolution} and scale={self.scale}"
            )

    def highest(self, tokens: int, digits: int) -> int:
        return math.floor(self.resolution * (tokens + self.shift + self.jitter) * self.scale)

    def _ids(
        self, key: Int[Tensor, "..."], index: Int[Tensor, "..."], tested: Bool[Tensor, "..."]
    ) -> Int[Tensor, "..."]:
        # Tokens count from 1, so place 0 is free for what the whole sample shares.
        sample = torch.zeros_like(key)
        shift = self.shift * uniform(draw30(key, Use.SHIFT, sample))
        jitter = self.jitter * uniform(draw30(key, Use.JITTER, index))
        # Uniform in the logarithm: positions are stretched as often as they are shrunk.
        scale = self.scale ** (2 * uniform(draw30(key, Use.SCALE, sample)) - 1)
        # Where resolution and scale are equal, the product may be rounded to just below 1.
        ids = (self.resolution * (index + shift + jitter) * scale).long().clamp(min=1)
        if self.tested == "random":
            return ids
        mean = (self.resolution * (index + (self.shift + self.jitter) / 2)).long()
        return torch.where(tested, mean, ids)
