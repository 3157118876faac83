"""A decoder-only transformer. How positions are encoded is not its business."""

import math

from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.cache import Cache
from arith.config import ModelConfig
from arith.encodings.base import Positions
from arith.encodings.compose import Composed, ComposedLayer, Ids
from arith.kernels.attention import attention


class Attention(nn.Module):
    """Grouped-query attention with the encoding's rotations and terms."""

    def __init__(self, width: int, heads: int, key_heads: int) -> None:
        super().__init__()
        self.heads, self.key_heads = heads, key_heads
        head_width = width // heads
        self.query = nn.Linear(width, heads * head_width, bias=False)
        self.key_value = nn.Linear(width, 2 * key_heads * head_width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b n w"],
        queries: int,
        layer: int,
        encoding: ComposedLayer,
        new: tuple[Positions, ...],
        everything: tuple[Positions, ...],
        cache: Cache | None,
    ) -> Float[Tensor, "b q w"]:
        asking = x[:, x.shape[1] - queries :]
        q = rearrange(self.query(asking), "b q (h d) -> b h q d", h=self.heads)
        k, v = rearrange(self.key_value(x), "b n (two g d) -> two b g n d", two=2, g=self.key_heads).unbind()
        q, k = encoding.rotate(q, k, new)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        memory = {} if cache is None else cache.memory(layer)
        terms = encoding.terms(asking, q, k, everything, memory)
        mixed = attention(q, k, v, terms=terms)
        out: Tensor = self.out(rearrange(mixed, "b h q d -> b q (h d)"))
        return out


class MLP(nn.Module):
    """Two linear maps with GELU between; gated, the first gives values and gates."""

    def __init__(self, width: int, hidden: int, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.up = nn.Linear(width, hidden * (2 if gated else 1), bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        x = self.up(x)
        if self.gated:
            value, gate = x.chunk(2, dim=-1)
            x = value * functional.gelu(gate)
        else:
            x = functional.gelu(x)
        out: Tensor = self.down(x)
        return out


class Block(nn.Module):
    """Attention and MLP, each normalised before and, if asked, after."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads, config.key_heads or config.heads)
        self.mlp = MLP(config.width, config.hidden, config.activation == "gated-gelu")
        self.before_attention, self.before_mlp = nn.RMSNorm(config.width), nn.RMSNorm(config.width)
        self.after_attention: nn.Module = nn.RMSNorm(config.width) if config.norm_after else nn.Identity()
        self.after_mlp: nn.Module = nn.RMSNorm(config.width) if config.norm_after else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "b n w"],
        queries: int,
        layer: int,
        encoding: ComposedLayer,
        new: tuple[Positions, ...],
        everything: tuple[Positions, ...],
        cache: Cache | None,
    ) -> Float[Tensor, "b q w"]:
        x = encoding.hidden(x, new)
        mixed = self.attention(self.before_attention(x), queries, layer, encoding, new, everything, cache)
        x = x[:, x.shape[1] - queries :] + self.after_attention(mixed)
        out: Tensor = x + self.after_mlp(self.mlp(self.before_mlp(x)))
        return out


class Transformer(nn.Module):
    """Tokens and position ids in, logits out.

    Args:
        config: its shape.
        vocabulary: number of tokens.
        encoding: how positions are encoded.

    >>> import torch
    >>> from arith.build import encoding
    >>> model = Transformer(ModelConfig(), 17, encoding("nope", width=64, heads=4, layers=1))
    >>> model(torch.tensor([[1, 10, 2]]), (torch.tensor([[[1, 2, 3]]]),)).shape
    torch.Size([1, 3, 17])
    """

    def __init__(self, config: ModelConfig, vocabulary: int, encoding: Composed) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.encoding = encoding
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width)
        self.head = nn.Linear(config.width, vocabulary, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.embedding.weight, std=self.config.embedding_std)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
        if not self.config.norm_after:
            # Without a norm after them, what the blocks add must not grow with depth (GPT-2).
            for block in self.blocks:
                assert isinstance(block, Block)
                for last in (block.attention.out, block.mlp.down):
                    last.weight.data /= math.sqrt(2 * self.config.layers * self.config.loops)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(
        self,
        tokens: Int[Tensor, "b n"],
        ids: Ids,
        *,
        queries: int | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b q v"]:
        """Logits of the last `queries` tokens (all, if None).

        Args:
            tokens: new tokens; those before them are in the cache, if there is one.
            ids: of the new tokens, for each scheme of the encoding.
            queries: what is asked of other tokens in the last layer is not computed.
            cache: of one decoding, changed in place.
        """
        new = tuple(Positions(scheme_ids, scheme_ids) for scheme_ids in ids)
        everything = new if cache is None else cache.place(new)
        x = self.encoding.embed(self.embedding(tokens), new)
        length, asked = tokens.shape[1], tokens.shape[1] if queries is None else queries
        depth = self.config.loops * self.config.layers
        for step in range(depth):
            loop, layer = divmod(step, self.config.layers)
            if step < depth - 1:
                x = self.blocks[layer](x, length, step, self.encoding.at(layer, loop), new, everything, cache)
            else:
                last_new = tuple(positions.last(asked) for positions in new)
                last = tuple(positions.last(asked) for positions in everything)
                x = self.blocks[layer](x, asked, step, self.encoding.at(layer, loop), last_new, last, cache)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def parameter_count(self) -> int:
        """Trained numbers, shared ones once."""
        return sum(parameter.numel() for parameter in self.parameters())
