"""A decoder-only transformer. How positions are encoded is not its business."""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import Activation, ModelConfig
from arith.data.batch import Batch
from arith.encodings.base import Memory, Positions
from arith.encodings.compose import Composed, ComposedLayer, Ids
from arith.encodings.positions import Prompt
from arith.kernels.attention import attention
from arith.model.cache import Cache
from arith.model.norm import RMSNorm
from arith.tasks import vocabulary


@dataclass(frozen=True)
class LayerContext:
    """What a layer needs to know beside its input.

    Args:
        place: of the layer in the whole depth, loops included; the cache's key.
        encoding: what positions do in it.
        queries: how many of the last tokens look at others.
        picked: of each sample, which of those it is asked for; all, if None.
        new: positions of the tokens that come in.
        everything: the same, with the tokens in the cache among the keys.
        cache: of one decoding.
    """

    place: int
    encoding: ComposedLayer
    queries: int
    picked: Int[Tensor, "b a"] | None
    new: tuple[Positions, ...]
    everything: tuple[Positions, ...]
    cache: Cache | None

    def select(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b a w"]:
        """What stands at the tokens that the layer is asked for; the last ones of `x` are its queries."""
        return select(x, self.queries, self.picked)


def select(x: Float[Tensor, "b n w"], queries: int, picked: Int[Tensor, "b a"] | None) -> Float[Tensor, "b a w"]:
    """The last `queries` tokens of each sample, or those that are picked of them."""
    before = x.shape[1] - queries
    return x[:, before:] if picked is None else at(x, before + picked)


def at(x: Float[Tensor, "b q w"], places: Int[Tensor, "b a"]) -> Float[Tensor, "b a w"]:
    """What stands at places of each sample.

    >>> import torch
    >>> at(torch.arange(6.0).view(2, 3, 1), torch.tensor([[2, 0], [1, 1]])).flatten().tolist()
    [2.0, 0.0, 4.0, 4.0]
    """
    flat = places + x.shape[1] * torch.arange(len(x), device=x.device)[:, None]
    # There and back half the time of a gather on a CPU.
    return x.flatten(0, 1).index_select(0, flat.flatten()).view(*places.shape, x.shape[2])


class Attention(nn.Module):
    """Grouped-query attention with the encoding's rotations and terms."""

    def __init__(self, width: int, heads: int, key_heads: int) -> None:
        super().__init__()
        self.heads, self.key_heads = heads, key_heads
        head_width = width // heads
        self.query = nn.Linear(width, heads * head_width, bias=False)
        self.key = nn.Linear(width, key_heads * head_width, bias=False)
        self.value = nn.Linear(width, key_heads * head_width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Float[Tensor, "b n w"], context: LayerContext) -> Float[Tensor, "b a w"]:
        asking = x[:, x.shape[1] - context.queries :]
        q = rearrange(self.query(asking), "b q (h d) -> b h q d", h=self.heads)
        k = rearrange(self.key(x), "b n (g d) -> b g n d", g=self.key_heads)
        v = rearrange(self.value(x), "b n (g d) -> b g n d", g=self.key_heads)
        q, k = context.encoding.rotate(q, k, tuple(new.last(context.queries) for new in context.new))
        memory: Memory = {}
        if context.cache is not None:
            k, v = context.cache.extend(context.place, k, v)
            memory = context.cache.memory(context.place)
        asked = tuple(positions.last(context.queries) for positions in context.everything)
        mixed = attention(q, k, v, terms=context.encoding.terms(x, q, k, asked, memory))
        out: Tensor = self.out(context.select(rearrange(mixed, "b h q d -> b q (h d)")))
        return out


class MLP(nn.Module):
    """Two linear maps with GELU between; gated, a third one gives the gates, through GELU or a sine.

    A sine is periodic, as the last digit of a sum is in the sum.
    """

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=False)
        self.gate = None if activation == "gelu" else nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.curve = torch.sin if activation == "gated-sine" else functional.gelu

    def forward(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        inner = self.curve(self.up(x)) if self.gate is None else self.up(x) * self.curve(self.gate(x))
        out: Tensor = self.down(inner)
        return out


class Block(nn.Module):
    """Attention and MLP, each normalised before and, if asked, after."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads, config.key_heads or config.heads)
        self.mlp = MLP(config.width, config.hidden, config.activation)
        self.before_attention, self.before_mlp = RMSNorm(config.width), RMSNorm(config.width)
        self.after_attention: nn.Module = RMSNorm(config.width) if config.norm_after else nn.Identity()
        self.after_mlp: nn.Module = RMSNorm(config.width) if config.norm_after else nn.Identity()

    def forward(self, x: Float[Tensor, "b n w"], context: LayerContext) -> Float[Tensor, "b a w"]:
        x = context.encoding.hidden(x, context.new)
        mixed = self.attention(self.before_attention(x), context)
        x = context.select(x) + self.after_attention(mixed)
        out: Tensor = x + self.after_mlp(self.mlp(self.before_mlp(x)))
        return out


class Transformer(nn.Module):
    """Tokens and position ids in, logits out.

    Loops f_t go on from one another, x = f_t(x), or start from the embeddings e and are summed:
    x = e + sum over t of (f_t(e) - e). Layers that are not in the loops follow once.

    Args:
        config: its shape.
        vocabulary: number of tokens.
        encoding: how positions are encoded.

    >>> import torch
    >>> from arith.catalogue.build import encoding
    >>> model = Transformer(ModelConfig(), 17, encoding("nope", width=64, heads=4, layers=1))
    >>> model(torch.tensor([[1, 10, 2]]), (torch.tensor([[[1, 2, 3]]]),)).shape
    torch.Size([1, 3, 17])
    """

    eager_because: str | None = None  # why the loss of this kind of model is never compiled; None: it can be

    def __init__(self, config: ModelConfig, vocabulary: int, encoding: Composed) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.encoding = encoding
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width)
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
                    last.weight.data /= math.sqrt(2 * self.config.depth)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(
        self,
        tokens: Int[Tensor, "b n"],
        ids: Ids,
        *,
        queries: int | None = None,
        picked: Int[Tensor, "b a"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b a v"]:
        """Logits of those that are picked of the last `queries` tokens.

        Args:
            tokens: new tokens; those before them are in the cache, if there is one.
            ids: of the new tokens, for each scheme of the encoding.
            queries: all, if None. What is asked of other tokens in the last layer is not computed.
            picked: of each sample, places among them; all, if None.
            cache: of one decoding, changed in place.
        """
        new = tuple(Positions(scheme_ids, scheme_ids) for scheme_ids in ids)
        everything = new if cache is None else cache.place(new)
        x = embedded = self.encoding.embed(self.embedding(tokens), new)
        loops, summed = self.config.loops, self.config.loop_input == "embeddings"
        looped, after = range(self.config.in_loops), range(self.config.in_loops, self.config.layers)
        for loop in range(loops):
            own, all_own = self.encoding.slide(new, loop), self.encoding.slide(everything, loop)
            if summed:
                x = x + (self.stack(embedded, loop, None, None, own, all_own, cache, looped) - embedded)
            else:
                asks = (queries, picked) if loop == loops - 1 and not after else (None, None)
                x = self.stack(x, loop, *asks, own, all_own, cache, looped)
        if after:
            own, all_own = self.encoding.slide(new, loops), self.encoding.slide(everything, loops)
            x = self.stack(x, loops, queries, picked, own, all_own, cache, after)
        elif summed and queries is not None:
            x = select(x, queries, picked)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def stack(
        self,
        x: Float[Tensor, "b n w"],
        loop: int,
        queries: int | None,
        picked: Int[Tensor, "b a"] | None,
        new: tuple[Positions, ...],
        everything: tuple[Positions, ...],
        cache: Cache | None,
        some: range | None = None,
    ) -> Float[Tensor, "b a w"]:
        """All layers once, or some of them; for the arguments see `forward` and `LayerContext`."""
        layers = self.config.layers
        for layer in range(layers) if some is None else some:
            block = self.blocks[layer]
            last, place, encoding = layer == layers - 1, loop * layers + layer, self.encoding.at(layer, loop)
            asking = queries if last and queries is not None else x.shape[1]
            x = block(x, LayerContext(place, encoding, asking, picked if last else None, new, everything, cache))
        return x

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Cross entropy of the learned tokens: their sum over the batch, divided by their number in the whole step."""
        tokens, ids = inputs_of(batch, self.encoding)
        logits = self(tokens, ids, queries=batch.queries, picked=batch.picked)
        return sum_nats(logits, batch) / count_learned_tokens(batch)

    def answer_logits(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> Float[Tensor, "b new v"] | None:
        """The logits of whole answers, of a kind of model that gives them at once; None: it decodes token by token."""
        return None

    @torch.no_grad()
    def answer(self, prompt: Prompt, key: Int[Tensor, " b"], new_tokens: int, capacity: int) -> Int[Tensor, "b new"]:
        """Greedy answers to prompts of equal length; after a row's end mark there is padding.

        Args:
            prompt: every row as long as the token matrix.
            key: the random key of each sample, as in training.
            new_tokens: tokens after which decoding stops, end mark or not.
            capacity: tokens of the longest sequence that samples like these can be.
        """
        if not bool((prompt.length == prompt.tokens.shape[1]).all()):
            raise ValueError("greedy decoding takes prompts of equal length; decode each length by itself")
        end, pad = vocabulary.token(vocabulary.END), vocabulary.token(vocabulary.PAD)
        cache = Cache()
        ids, states = self.encoding.start(prompt, key, capacity)
        logits = self(prompt.tokens, ids, queries=1, cache=cache)
        ended = torch.zeros_like(prompt.length, dtype=torch.bool)
        written: list[Tensor] = []
        while True:
            token = logits[:, -1].argmax(-1).masked_fill(ended, pad)
            written.append(token)
            ended |= token == end
            if len(written) == new_tokens or bool(ended.all()):
                return torch.stack(written, dim=1)
            ids, states = self.encoding.step(token, states)
            beyond = self.encoding.beyond(ids)
            if beyond is not None:
                # A number that outgrows the ids is no answer: the row ends, and its ids become "no position".
                ended = ended | beyond[:, 0]
                ids = tuple(scheme_ids.masked_fill(beyond, 0) for scheme_ids in ids)
            logits = self(token[:, None], ids, cache=cache)

    def parameter_count(self) -> int:
        """Trained numbers, shared ones once."""
        return sum(parameter.numel() for parameter in self.parameters())


def inputs_of(batch: Batch, encoding: Composed) -> tuple[Int[Tensor, "b n"], Ids]:
    """The tokens that a model reads, and their ids: all but the last token, which is only predicted."""
    return batch.tokens[:, :-1], tuple(scheme_ids[:, :, :-1] for scheme_ids in batch.placed_by(encoding))


def sum_nats(logits: Float[Tensor, "b a v"], batch: Batch) -> Float[Tensor, ""]:
    """The cross entropy of all learned tokens of a batch, in nats."""
    targets, learned = batch.wanted
    # Others are left out by weight: to select the learned ones would make the host wait for the device to count them.
    each = functional.cross_entropy(rearrange(logits, "b a v -> (b a) v").float(), targets.flatten(), reduction="none")
    return (each * learned.flatten()).sum()


def count_learned_tokens(batch: Batch) -> Float[Tensor, ""] | Int[Tensor, ""]:
    """The learned tokens of the step that a batch is a part of, in all processes; of the batch, if it is all of it."""
    return batch.wanted[1].sum() if batch.total is None else batch.total
