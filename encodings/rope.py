"""RoPE: queries and keys are rotated in pairs of dimensions by angles that grow with the position.

    angle[i] = id * base ** (-2 i / d)        i = 0 .. d/2 - 1; dimension i is paired with i + d/2

The score then depends on the difference of the two ids. A token with id 0 is not rotated.
Su et al., "RoFormer", arXiv 2104.09864; the pairing of halves is that of GPT-NeoX and Llama.

Partial RoPE rotates the first d dimensions of a head and leaves the others as they are (GPT-NeoX, Phi).
p-RoPE turns only the highest frequencies, so that content has dimensions that no position disturbs: Barbero et al.,
"Round and Round We Go!", arXiv 2410.06205. On ids of several levels each level has d dimensions of its own.
"""

import math
from collections.abc import Callable
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.encodings.base import Encoding, Positions


class RoPE(Encoding):
    """Rotation by position. Angles are in float32, whatever the model is cast to, or in float64 in its models.

    Args:
        head_width: dimensions of a head; even, unless only a share is rotated.
        base: of the wavelengths, from 2 pi to 2 pi * base positions.
        share: of a head's dimensions that are rotated, the first; rounded down to whole pairs.
        kept: share of the frequencies that turn, the highest (p-RoPE); rounded down.
        levels: of ids; each rotates an equal part of those dimensions.

    >>> RoPE(head_width=4, base=100.0).frequencies.tolist()
    [1.0, 0.10000000149011612]
    >>> RoPE(head_width=16, base=100.0, share=0.5, kept=0.5).frequencies.count_nonzero().item()
    2
    """

    relative = True
    turns_queries = True
    frequencies: Float[Tensor, " half"]

    def __init__(
        self, head_width: int, base: float = 10000.0, share: float = 1.0, kept: float = 1.0, levels: int = 1
    ) -> None:
        super().__init__()
        if not base > 0:
            raise ValueError(f"rope's base is above 0, got {base}")
        for name, value in (("share", share), ("kept", kept)):
            if not 0 < value <= 1:
                raise ValueError(f"rope's {name} is above 0 and at most 1, got {value}. Without rotation it is nope")
        if levels < 1:
            raise ValueError(f"rope's levels are 1 or more: got {levels}")
        if share == 1 and head_width % 2:
            raise ValueError(f"rope turns pairs of dimensions: a head's width must be even, got {head_width}")
        if share == 1 and head_width % (2 * levels):
            raise ValueError(
                f"rope gives each level of ids as many of a head's {head_width // 2} pairs of dimensions, which cannot "
                f"be with {levels} levels. Take heads of a multiple of {2 * levels} dimensions, or rope:levels=1"
            )
        pairs = _rounded_down(share * head_width / (2 * levels))
        if not pairs:
            raise ValueError(
                f"rope's share={share:g} of {head_width} dimensions leaves nothing to rotate: a pair for each level "
                f"takes {2 * levels} of them"
            )
        turning = _rounded_down(kept * pairs)
        if not turning:
            raise ValueError(
                f"rope's kept={kept:g} leaves nothing to rotate: one of its {pairs} frequencies takes "
                # Rounded up to four places, so that the value shown is enough.
                f"kept={math.ceil(1e4 / pairs) / 1e4:g} or more"
            )
        self.levels, self.base, self.pairs, self.turning = levels, base, pairs, turning
        # Not saved: a model trained with `rope` can be loaded with a scaled one in its place.
        self.register_buffer("frequencies", self._plain(torch.float32), persistent=False)

    def _plain(self, dtype: torch.dtype) -> Float[Tensor, " half"]:
        """Frequencies before any scaling."""
        half = torch.arange(0, 2 * self.pairs, 2, dtype=dtype) / (2 * self.pairs)
        plain: Tensor = self.base**-half * (torch.arange(self.pairs) < self.turning)
        return plain

    def compute_buffers(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The buffers, computed in float32 or float64."""
        return {"frequencies": self._plain(dtype)}

    def fill_buffers(self) -> None:
        """Fill the buffers, once everything that they depend on is known."""
        for name, buffer in self.compute_buffers(torch.float32).items():
            setattr(self, name, buffer)

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        return self._rotate(q, positions.q), self._rotate(k, positions.k)

    def _rotate(self, x: Float[Tensor, "b h n d"], ids: Int[Tensor, "levels b n"]) -> Float[Tensor, "b h n d"]:
        pairs = self.frequencies.shape[0]
        parts = []
        for level in range(self.levels):
            angles = ids[level][:, None, :, None] * self.frequencies
            # Angles stay in full precision and only their sines are rounded: an error of those does not grow with the
            # id.
            cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
            first, second = x[..., 2 * pairs * level : 2 * pairs * (level + 1)].chunk(2, dim=-1)
            parts += [first * cos - second * sin, second * cos + first * sin]
        return torch.cat([*parts, x[..., 2 * pairs * self.levels :]], dim=-1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # In bfloat16 the ids 256 and 257 are one: a model that is cast to it keeps its frequencies. One that is cast to
        # float64 gets them in it, not those of float32, whose last digit thousands of positions multiply.
        before = self.frequencies.dtype
        exact = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        wanted, device = self.frequencies.dtype, self.frequencies.device
        if wanted.itemsize < torch.float32.itemsize:
            self._buffers |= {name: own if own is None else own.to(device) for name, own in exact.items()}
        elif wanted != before:
            self._buffers |= {name: own.to(device) for name, own in self.compute_buffers(wanted).items()}
        return self


def _rounded_down(share: float) -> int:
    return int(round(share, 6))  # so that 0.58 * 100 is 58
