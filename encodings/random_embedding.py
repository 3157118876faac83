"""The random embedding: a random vector for each id, which says who a token is, but not where.

    x[t] = [x[t, : -m], scale * g(id[t])]        overwrite; or, to add: x[t, -m :] + scale * g(id[t])

g has independent normal components, m = share * width, and x[t] stays as it is where the id is 0. On `tags`, fresh for
each sequence, tokens can be told apart and found again, and only the causal mask tells their order.

Shen et al., "Positional Description Matters for Transformers Arithmetic", arXiv 2311.14737, who published no code:
where the vectors enter, and how, are settings. To overwrite is to concatenate to an embedding of fewer dimensions.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.encodings.base import LayerEncoding, PerLayer, Positions
from arith.encodings.draws import mix30, normal

How = Literal["overwrite", "add"]


@dataclass(frozen=True)
class Marking:
    """How random vectors get into the last dimensions.

    Args:
        dimensions: that they take.
        how: whether what was there stays.
        scale: their standard deviation.
    """

    dimensions: int
    how: How
    scale: float

    def __call__(
        self, x: Float[Tensor, "*b n d"], ids: Int[Tensor, "*#b n"], series: Int[Tensor, "*#b #n"]
    ) -> Float[Tensor, "*b n d"]:
        """Mark tokens. `series`: one id has another vector in each."""
        # Box and Muller's transform makes numbers in pairs; of an odd count the last is dropped.
        place = torch.arange(self.dimensions + self.dimensions % 2, device=x.device)
        # Ids are hashed before they meet the series: by itself id 5 of series 1 would be id 4 of series 0.
        seeds = mix30(mix30(ids) ^ series)
        numbers = normal(mix30(seeds[..., None] ^ mix30(place)), torch.promote_types(x.dtype, torch.float32))
        vectors = (self.scale * numbers[..., : self.dimensions]).to(x.dtype)
        kept, taken = x[..., : -self.dimensions], x[..., -self.dimensions :]
        marked = vectors if self.how == "overwrite" else taken + vectors
        return torch.cat([kept, torch.where((ids != 0)[..., None], marked, taken)], dim=-1)


class RandomEmbedding(PerLayer):
    """Random vectors in the token embedding, every layer's input, or queries and keys; nothing is learned.

    Args:
        width, heads, layers: of the model.
        at: `input`: once. `hidden`: at the input of every layer. `heads`: in queries and keys.
        how: `overwrite` or `add`.
        share: of the dimensions that they take, the last of the model's, or of each head's; rounded.
        scale: their standard deviation; a token embedding's is 1, as are queries' and keys' at the start.
        same_in_heads: one vector for all heads; otherwise one for each key head and the queries that meet it.
        same_in_layers: one vector for all layers.

    >>> ids = torch.tensor([[[5, 0, 5]]])
    >>> RandomEmbedding(width=4, heads=1, layers=1).embed(torch.zeros(1, 3, 4), Positions(ids, ids))
    tensor([[[0.0000, 0.0000, 0.0430, 0.1178],
             [0.0000, 0.0000, 0.0000, 0.0000],
             [0.0000, 0.0000, 0.0430, 0.1178]]])
    """

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        at: Literal["input", "hidden", "heads"] = "input",
        how: How = "overwrite",
        share: float = 0.5,
        scale: float = 1.0,
        same_in_heads: bool = True,
        same_in_layers: bool = True,
    ) -> None:
        if at not in ("input", "hidden", "heads"):
            raise ValueError(f"random-embedding acts at input, hidden or heads, got {at!r}")
        if how not in ("overwrite", "add"):
            raise ValueError(f"random-embedding's how is overwrite or add, got {how!r}")
        if not same_in_heads and at != "heads":
            raise ValueError(f"random vectors differ between heads only at=heads, got at={at}")
        if not same_in_layers and at == "input":
            raise ValueError("random vectors differ between layers at=hidden or at=heads, got at=input")
        room = width // heads if at == "heads" else width
        most = room - (how == "overwrite")
        if not most:
            raise ValueError(f"of {room} dimension nothing of the token would remain: use random-embedding:how=add")
        if not 0 < share <= 1:
            raise ValueError(f"random-embedding's share is above 0 and at most 1, got {share}")
        dimensions = round(share * room)
        if not 1 <= dimensions <= most:
            keeps = "; something of the token is to remain" if dimensions else ""
            raise ValueError(
                f"random-embedding takes 1 to {most} of {room} dimensions with how={how}, and a share of {share} is "
                f"{dimensions} of them{keeps}"
            )
        marking = Marking(dimensions, how, scale)
        # A series for each head of each layer, whether heads differ or not.
        series = [0 if same_in_layers else heads * layer for layer in range(layers)]
        inside: dict[str, list[LayerEncoding]] = {
            "input": [LayerEncoding() for _ in series],
            "hidden": [MarkedHidden(marking, own) for own in series],
            "heads": [MarkedHeads(marking, own, same_in_heads) for own in series],
        }
        super().__init__(inside[at])
        self.where, self.marking = at, marking

    def embed(self, x: Float[Tensor, "b n w"], positions: Positions) -> Float[Tensor, "b n w"]:
        if self.where != "input":
            return x
        return self.marking(x, positions.q[0], torch.zeros_like(positions.q[0]))

    def extra_repr(self) -> str:
        return f"at={self.where}, {self.marking}"


class MarkedHidden(LayerEncoding):
    """Random vectors in the input of one layer."""

    def __init__(self, marking: Marking, series: int) -> None:
        super().__init__()
        self.marking, self.series = marking, series

    def hidden(self, x: Float[Tensor, "b n w"], positions: Positions) -> Float[Tensor, "b n w"]:
        return self.marking(x, positions.q[0], torch.full_like(positions.q[0], self.series))


class MarkedHeads(LayerEncoding):
    """Random vectors in the queries and keys of one layer."""

    def __init__(self, marking: Marking, series: int, same_in_heads: bool) -> None:
        super().__init__()
        self.marking, self.series, self.same_in_heads = marking, series, same_in_heads

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        key_heads = k.shape[1]
        return self._mark(q, positions.q[0], key_heads), self._mark(k, positions.k[0], key_heads)

    def _mark(self, x: Float[Tensor, "b h n d"], ids: Int[Tensor, "b n"], key_heads: int) -> Float[Tensor, "b h n d"]:
        head = torch.arange(1 if self.same_in_heads else x.shape[1], device=x.device)
        # Queries that share a key head share its series: a match between a query and a key needs the same vectors in
        # both.
        series = self.series + head * key_heads // x.shape[1]
        return self.marking(x, ids[:, None], series[:, None])
