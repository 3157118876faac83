"""Short convolutions over tokens: each channel of queries, keys and values mixes with those of the tokens before.

    out[t, c] = sum_s weight[s, c] x[t - s, c],  s = 0 .. TAPS - 1
                + sum_s ahead[s - 1, c] x[t + s, c],  s = 1 .. TAPS - 1, where attention is full

They begin as what they are put on, weight[0] = 1 and the others 0. Depthwise and of three taps, as Primer has them (So
et al., arXiv 2109.08668); convolutions in the maps of queries, keys and values are what the first version of "Unveiling
Transformers with LEGO" (arXiv 2206.04301) gives a model in place of pretraining.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import TAPS
from arith.encodings.base import Memory


class ShortConvolution(nn.Module):
    """A convolution along the tokens, each channel by itself.

    Args:
        channels: the number of channels.
        causal: whether a token mixes with those before it alone, or with as many behind it too.

    >>> mixing = ShortConvolution(1)
    >>> mixing.weight.data = torch.tensor([[1.0], [10.0], [100.0]])
    >>> mixing(torch.tensor([[[1.0], [2.0], [3.0]]])).flatten().tolist()
    [1.0, 12.0, 123.0]
    """

    def __init__(self, channels: int, *, causal: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(TAPS, channels))
        nn.init.ones_(self.weight[0])
        self.ahead = None if causal else nn.Parameter(torch.zeros(TAPS - 1, channels))

    def forward(
        self, x: Float[Tensor, "b n c"], memory: Memory | None = None, name: str = ""
    ) -> Float[Tensor, "b n c"]:
        """Mix tokens with those before them.

        Args:
            x: the new tokens.
            memory: where a decoder keeps the last tokens, which the next ones mix with; None: there are none before.
            name: the name under which it keeps them.
        """
        before = None if memory is None else memory.get(name)
        if before is None:
            before = x.new_zeros(len(x), TAPS - 1, x.shape[2])
        whole = torch.cat([before, x], dim=1)
        if memory is not None:
            memory[name] = whole[:, -(TAPS - 1) :]
        n = x.shape[1]
        out: Tensor = self.weight[0] * x
        for back in range(1, TAPS):
            out = out + self.weight[back] * whole[:, TAPS - 1 - back : TAPS - 1 - back + n]
        if self.ahead is not None:
            behind = functional.pad(x, (0, 0, 0, TAPS - 1))
            for further in range(1, TAPS):
                out = out + self.ahead[further - 1] * behind[:, further : further + n]
        return out
