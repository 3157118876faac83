"""One block of a transformer, attention and MLP, and what a layer is given beside its input."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import TAPS, Activation, Mixing, ModelConfig, Sharpen, Tie
from arith.encodings.base import Memory, Positions
from arith.encodings.compose import ComposedLayer
from arith.kernels.attention import attention
from arith.kernels.sharpening import sharpen_scores
from arith.model.cache import Cache
from arith.model.mixing import ShortConvolution
from arith.model.norm import RMSNorm


@dataclass(frozen=True)
class LayerContext:
    """What a layer needs to know beside its input.

    Args:
        place: the layer's number in the whole depth, loops included; its key in the cache.
        encoding: the encoding's part in this layer.
        queries: the last `queries` tokens attend; earlier ones are only attended to.
        picked: places among the queries whose output is wanted, for each sample; None: all.
        new: positions of the tokens that come in.
        everything: the same, with the tokens in the cache among the keys.
        cache: keys and values of earlier tokens while decoding; None: there are none.
        valid: which tokens may be attended to, where attention is full; None: all of those before.
    """

    place: int
    encoding: ComposedLayer
    queries: int
    picked: Int[Tensor, "b a"] | None
    new: tuple[Positions, ...]
    everything: tuple[Positions, ...]
    cache: Cache | None
    valid: Bool[Tensor, "b n"] | None = None

    def asked(self, keys: int) -> tuple[Positions, ...]:
        """The positions of the queries and of the keys, which are the last `keys` tokens."""
        return tuple(positions.last(self.queries, keys) for positions in self.everything)

    def select(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b a w"]:
        """The tokens whose output is wanted; the queries are the last ones of `x`."""
        return select(x, self.queries, self.picked)


def select(x: Float[Tensor, "b n w"], queries: int, picked: Int[Tensor, "b a"] | None) -> Float[Tensor, "b a w"]:
    """The last `queries` tokens of each sample, or those of them that are picked.

    >>> import torch
    >>> x = torch.arange(4.0).view(1, 4, 1)
    >>> select(x, 3, None).flatten().tolist(), select(x, 3, torch.tensor([[0, 2]])).flatten().tolist()
    ([1.0, 2.0, 3.0], [1.0, 3.0])
    """
    before = x.shape[1] - queries
    return x[:, before:] if picked is None else at(x, before + picked)


def at(x: Float[Tensor, "b q w"], places: Int[Tensor, "b a"]) -> Float[Tensor, "b a w"]:
    """The tokens at these places of each sample.

    >>> import torch
    >>> at(torch.arange(6.0).view(2, 3, 1), torch.tensor([[2, 0], [1, 1]])).flatten().tolist()
    [2.0, 0.0, 4.0, 4.0]
    """
    flat = places + x.shape[1] * torch.arange(len(x), device=x.device)[:, None]
    # Rows of one long matrix: forward and backward take half the time of a gather on a CPU.
    return x.flatten(0, 1).index_select(0, flat.flatten()).view(*places.shape, x.shape[2])


class Attention(nn.Module):
    """Grouped-query attention with the encoding's rotations and terms.

    Args:
        width: of a token.
        heads, key_heads: heads of queries, and of keys and values.
        mixing: `conv`: queries, keys and values of a token mix with those of the tokens before it; if attention is
            not causal, behind it too.
        causal: whether a token attends to itself and earlier tokens alone, or to all.
        sharpen: a factor on all scores, or `log-n`.
        tie: `values`: they are the keys before their rotation; `output`: it is the transposed map of queries.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        key_heads: int,
        mixing: Mixing = "none",
        *,
        causal: bool = True,
        sharpen: Sharpen = 1.0,
        tie: Collection[Tie] = (),
    ) -> None:
        super().__init__()
        self.heads, self.key_heads, self.causal, self.sharpen = heads, key_heads, causal, sharpen
        head_width = width // heads
        self.query = nn.Linear(width, heads * head_width, bias=False)
        self.key = nn.Linear(width, key_heads * head_width, bias=False)
        self.value = None if "values" in tie else nn.Linear(width, key_heads * head_width, bias=False)
        self.out = None if "output" in tie else nn.Linear(width, width, bias=False)
        channels = {"query": heads * head_width, "key": key_heads * head_width, "value": key_heads * head_width}
        self.mixing = nn.ModuleDict()
        if mixing == "conv":
            self.mixing.update({n: ShortConvolution(c, causal=causal) for n, c in channels.items()})

    def project(
        self, x: Float[Tensor, "b n w"], queries: int, memory: Memory | None = None
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g n d"], Float[Tensor, "b g n d"]]:
        """Queries of the last tokens, keys and values of all.

        Args:
            x: the new tokens.
            queries: the number of tokens that attend.
            memory: what a layer keeps while decoding; None: all tokens are there.
        """
        # Queries are computed for the tokens that attend, keys and values for all: in the last layer of training only
        # the answer's tokens attend, and the prompt's are there to be attended to. What mixes needs a few more.
        asking = x[:, max(0, x.shape[1] - queries - (TAPS - 1) * bool(self.mixing)) :]
        q, k = self.query(asking), self.key(x)
        v = k if self.value is None else self.value(x)
        if self.mixing:
            q, k, v = (self.mixing[name](own, memory, name) for name, own in (("query", q), ("key", k), ("value", v)))
        return (
            rearrange(q[:, q.shape[1] - queries :], "b q (h d) -> b h q d", h=self.heads),
            rearrange(k, "b n (g d) -> b g n d", g=self.key_heads),
            rearrange(v, "b n (g d) -> b g n d", g=self.key_heads),
        )

    def forward(self, x: Float[Tensor, "b n w"], context: LayerContext) -> Float[Tensor, "b a w"]:
        kept = None if context.cache is None else context.cache.memory(context.place)
        if self.mixing and context.valid is not None:
            # Padding must not be mixed in: without it, a line's last tokens have nothing behind them.
            x = x * context.valid[..., None]
        q, k, v = self.project(x, context.queries, kept)
        q, k = context.encoding.rotate(q, k, tuple(new.last(context.queries) for new in context.new))
        # Rotated before they are cached: a key's rotation depends on its own position and on no later token.
        if context.cache is not None:
            k, v = context.cache.extend(context.place, k, v)
        memory: Memory = {} if kept is None else kept
        terms = context.encoding.terms(x, q, k, context.asked(k.shape[2]), memory)
        scale, terms = sharpen_scores(self.sharpen, terms, q, k.shape[2], self.causal, context.valid)
        mixed = attention(q, k, v, terms=terms, causal=self.causal, valid=context.valid, scale=scale)
        # Selected first, so that the output map and the MLP run on the wanted tokens alone.
        read = context.select(rearrange(mixed, "b h q d -> b q (h d)"))
        out: Tensor = read @ self.query.weight if self.out is None else self.out(read)
        return out


# A sine is periodic, as the last digit of a sum is in the sum.
CURVES: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gated-gelu": functional.gelu,
    "gated-silu": functional.silu,
    "gated-sine": torch.sin,
}


class MLP(nn.Module):
    """Two linear maps with GELU between; gated, a third one gives the gates, through GELU, SiLU or a sine."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=False)
        self.gate = None if activation == "gelu" else nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.curve = CURVES[activation]

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        inner = self.curve(self.up(x)) if self.gate is None else self.up(x) * self.curve(self.gate(x))
        out: Tensor = self.down(inner)
        return out


class Block(nn.Module):
    """Attention and MLP, each with a norm before it and, with `norm_after`, one after it.

        sequential    y = x + attention(norm(x)),    y + mlp(norm(y))
        parallel      z = norm(x),                   x + attention(z) + mlp(z)

    Side by side is GPT-J's and phi-1's (Gunasekar et al., "Textbooks Are All You Need", arXiv 2306.11644): the MLP does
    not wait for attention, and does not see what it found.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        key_heads, causal = config.key_heads or config.heads, config.attention == "causal"
        self.attention = Attention(
            config.width,
            config.heads,
            key_heads,
            config.mixing,
            causal=causal,
            sharpen=config.sharpen,
            tie=config.tie,
        )
        self.mlp = MLP(config.width, config.hidden, config.activation)
        self.before_attention = RMSNorm(config.width)
        self.before_mlp = RMSNorm(config.width) if config.block == "sequential" else None
        self.after_attention: nn.Module = RMSNorm(config.width) if config.norm_after else nn.Identity()
        self.after_mlp: nn.Module = RMSNorm(config.width) if config.norm_after else nn.Identity()

    def forward(self, x: Float[Tensor, "b n w"], context: LayerContext) -> Float[Tensor, "b a w"]:
        x = context.encoding.hidden(x, context.new)
        normed = self.before_attention(x)
        attended = context.select(x) + self.after_attention(self.attention(normed, context))
        read = context.select(normed) if self.before_mlp is None else self.before_mlp(attended)
        out: Tensor = attended + self.after_mlp(self.mlp(read))
        return out
