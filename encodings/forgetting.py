"""Forgetting attention (FoX): scores fade by forget gates that each token sets, one a head.

    score[q, k] += log f[k + 1] + .. + log f[q]        f[t] = sigmoid(w_h . x[t] + bias_h)

It takes no ids: the gates come from the content, in the order of the tokens.
Lin et al., "Forgetting Transformer", arXiv 2503.02130, the data-dependent gate of section 3. Layers have gates of
their own; while decoding, the sums so far are kept.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from arith.encodings.base import LayerEncoding, Memory, PerLayer, Positions
from arith.kernels.terms import Decay


class Forgetting(PerLayer):
    """Forget gates from each layer's input.

    The gates of all tokens between key and query count, of those too that the op's `valid` or `documents` hide: what
    they mark it does not see. The model passes neither.

    Args:
        width: of the model.
        heads: attention heads.
        layers: of the model.
        bias: where the gates start: a token keeps sigmoid(bias) of what came before it.

    >>> Forgetting(width=8, heads=2, layers=1, bias=3.0).at(0).gate.bias.tolist()
    [3.0, 3.0]
    """

    relative = True
    takes_ids = False
    causal = True

    def __init__(self, width: int, heads: int, layers: int, bias: float = 0.0) -> None:
        super().__init__(ForgettingLayer(width, heads, bias) for _ in range(layers))


class ForgettingLayer(LayerEncoding):
    """The gates of one layer."""

    def __init__(self, width: int, heads: int, bias: float) -> None:
        super().__init__()
        self.gate = nn.Linear(width, heads)
        # Small, so that all gates begin near sigmoid(bias), whatever the token.
        nn.init.normal_(self.gate.weight, std=0.02)
        nn.init.constant_(self.gate.bias, bias)

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Positions,
        memory: Memory,
    ) -> tuple[Decay]:
        gates = rearrange(self.gate(x), "b n h -> b h n")
        # Differences of long sums need more digits than half precision has.
        cumulative = functional.logsigmoid(gates.to(torch.promote_types(gates.dtype, torch.float32))).cumsum(-1)
        # Only differences matter, so the sums of a cache stay as they are, and new tokens go on from the last of them.
        if "cumulative" in memory:
            earlier = memory["cumulative"]
            cumulative = torch.cat([earlier, earlier[..., -1:] + cumulative], dim=-1)
        if cumulative.shape[2] < k.shape[2]:
            # A cache that forgets keys has fewer than there are sums, never more.
            raise ValueError(
                f"forgetting sums over all tokens so far, and `memory` holds sums of "
                f"{cumulative.shape[2] - x.shape[1]} tokens before {x.shape[1]} new ones, for {k.shape[2]} keys. Keep "
                f"one dict a layer next to its keys and values, and give it to every pass"
            )
        memory["cumulative"] = cumulative
        return (Decay(cumulative),)
