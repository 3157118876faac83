"""Attention maps of one problem: what each head of each layer looks at, with the tokens on the axes."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from arith.data.batch import Batch
from arith.data.typed import write_typed
from arith.encodings.compose import Ids
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.kernels.reference import add_term, attention_weights, scale_queries, visibility
from arith.kernels.sharpening import sharpen_scores
from arith.kernels.terms import ScoreMod, Term
from arith.model.block import Attention, Block, LayerContext
from arith.model.cache import Cache
from arith.model.lookup import LookupBlock
from arith.model.transformer import Transformer
from arith.tasks import vocabulary

MOST = 120  # tokens: with more, the labels on the axes of a map run into each other


@dataclass(frozen=True)
class Maps:
    """Attention weights over one written problem.

    Args:
        symbols: the tokens of the problem, a character each.
        weights: the weights of each layer, in a looped model loop after loop; rows are queries and sum to 1.
        passes: the loop and the layer of each, from 0.
    """

    symbols: str
    weights: tuple[Float[Tensor, "h q k"], ...]
    passes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class LayerInput:
    """What one layer was given in one pass of a model, from which what it did is computed again.

    Args:
        module: the layer.
        x: its input.
        context: what it got beside it.
        loop, layer: its place, from 0; layers after the loops count as one more loop, as in `ModelConfig.passes`.
        tokens: the tokens of the whole line; above `model.prompt_layers` the first ones do not take part.
    """

    module: Attention | LookupBlock
    x: Float[Tensor, "b n w"]
    context: LayerContext
    loop: int
    layer: int
    tokens: int

    @property
    def looks_up(self) -> bool:
        """Whether positions decide which token is taken, and nothing is scored."""
        return isinstance(self.module, LookupBlock)

    @torch.no_grad()
    def weights(self) -> Float[Tensor, "b h q k"]:
        """The attention weights; of a layer that looks up, 1 for the token that a lane takes."""
        if isinstance(self.module, LookupBlock):
            return self._pad(_taken(self.x, self.context), 0)
        return self._pad(weights_of(self.module, self.x, self.context), 0)

    @torch.no_grad()
    def bias(self) -> Float[Tensor, "b h q k"] | None:
        """What the encoding adds to each score, NaN where the key is hidden; None for a layer that looks up."""
        if isinstance(self.module, LookupBlock):
            return None
        return self._pad(bias_of(self.module, self.x, self.context), math.nan)

    def _pad(self, found: Float[Tensor, "b h n n"], value: float) -> Float[Tensor, "b h q k"]:
        return functional.pad(found, (self.tokens - found.shape[3], 0) * 2, value=value)


def attention_maps(experiment: Experiment, model: Transformer, problem: str) -> Maps:
    """Attention maps of a problem with its right answer, as the model would read it.

    Args:
        experiment: the experiment of the model.
        model: the model.
        problem: the problem as a person types it, such as 123+456.

    Raises:
        UsageError: it is not a problem of the tested task, or too long.
    """
    task, form = experiment.tests.task, experiment.tests.format
    typed = write_typed(problem, task, form, experiment.config.evaluation.seed, model.encoding)
    if typed.tokens > MOST:
        raise UsageError(f"{problem}: attention is drawn over up to {MOST} tokens, and this takes {typed.tokens}")
    batch = typed.batch(model.embedding.weight.device, whole=True)
    # Not `vocabulary.decode`, which leaves out begin and end marks: each of them is a row and a column of the map.
    line = typed.written.tokens[0, : int(typed.written.lengths[0])]
    symbols = "".join(vocabulary.SYMBOLS[token] for token in line)
    layers, _ = watch_layers(model, batch.tokens, batch.placed_by(model.encoding), batch.queries + 1)
    weights = tuple(own.weights()[0, :, : len(symbols), : len(symbols)].cpu() for own in layers)
    return Maps(symbols, weights, tuple((own.loop, own.layer) for own in layers))


def record_attention(model: Transformer, batch: Batch) -> list[Float[Tensor, "b h q k"]]:
    """The attention weights of every layer of every loop, computed beside the model from the inputs of its layers."""
    layers, _ = watch_layers(model, batch.tokens, batch.placed_by(model.encoding), batch.queries + 1)
    return [layer.weights() for layer in layers]


@torch.no_grad()
def watch_layers(
    model: Transformer, tokens: Int[Tensor, "b n"], ids: Ids, queries: int
) -> tuple[list[LayerInput], Float[Tensor, "b a v"]]:
    """Run a model, and keep what each of its layers is given.

    Args:
        model: the model.
        tokens: whole lines, or as much of them as is there.
        ids: their position ids.
        queries: the number of last tokens that predict an answer; matters with `model.prompt_layers` alone.

    Returns:
        The layers in the order in which they run, and the logits of the last tokens, `queries` of them or all.
    """
    # The kernels never hand out weights, so a hook sees each layer's input, and weights are computed again in plain
    # torch.
    found: list[LayerInput] = []
    numbers = {_scored(block): number for number, block in enumerate(model.blocks)}
    loops = 0

    def keep(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        nonlocal loops
        assert isinstance(module, Attention | LookupBlock)
        layer = numbers[module]
        loops += layer == 0
        # Layers after the loops come once, when all loops are counted.
        loop = loops - (layer < model.config.in_loops)
        x, context = arguments
        found.append(LayerInput(module, x, context, loop, layer, tokens.shape[1]))

    hooks = [module.register_forward_pre_hook(keep) for module in numbers]
    try:
        # With a cache, as loops that are summed are then computed one by one; full attention has none, nor have
        # answers that come at once.
        cached = model.config.attention == "causal" and not model.answers_at_once
        asked = None if model.config.prompt_layers is None else queries
        logits = model(tokens, ids, queries=asked, cache=Cache() if cached else None)
    finally:
        for hook in hooks:
            hook.remove()
    return found, logits


def _scored(block: torch.nn.Module) -> Attention | LookupBlock:
    """The part of a block that decides which tokens it reads."""
    part = block.attention if isinstance(block, Block) else block
    assert isinstance(part, Attention | LookupBlock)
    return part


def _taken(x: Float[Tensor, "b n w"], context: LayerContext) -> Float[Tensor, "b lanes n n"]:
    n = x.shape[1]
    taken = context.encoding.taken(tuple(own.last(n, n) for own in context.everything))
    by_lane = rearrange(taken.expand(len(x), -1, -1), "b q lanes -> b lanes q 1")
    return (by_lane == torch.arange(n, device=x.device)).to(x.dtype)


def weights_of(layer: Attention, x: Float[Tensor, "b n w"], context: LayerContext) -> Float[Tensor, "b h q k"]:
    """The weights by which `layer(x, context)` averages its values, for all tokens as queries.

    Args:
        layer: the attention layer.
        x: the layer's input.
        context: the encoding, the positions and the rest that the layer gets beside it.
    """
    q, k, terms, scale = _what_is_scored(layer, x, context)
    return attention_weights(q, k, terms, layer.causal, context.valid, None, scale)


def bias_of(layer: Attention, x: Float[Tensor, "b n w"], context: LayerContext) -> Float[Tensor, "b h q k"]:
    """What terms add to the scores of `layer(x, context)`; NaN where a key is hidden.

    Args:
        layer, x, context: as of `weights_of`.
    """
    q, k, terms, scale = _what_is_scored(layer, x, context)
    before = scale_queries(q, scale) @ repeat(k, "b g k d -> b (g copies) d k", copies=q.shape[1] // k.shape[1])
    if not any(isinstance(term, ScoreMod) for term in terms):
        before = torch.zeros_like(before)  # what is added to nothing is not rounded
    after = before
    for term in terms:
        after = add_term(term, after)
    seen = visibility(q.shape[2], k.shape[2], terms, layer.causal, context.valid, None, q.device)
    bias = after - before
    return bias if seen is None else bias.masked_fill(~seen, math.nan)


def _what_is_scored(
    layer: Attention, x: Float[Tensor, "b n w"], context: LayerContext
) -> tuple[Float[Tensor, "b h n d"], Float[Tensor, "b g n d"], tuple[Term, ...], float | Float[Tensor, "#b n"]]:
    """Queries and keys of all tokens, what terms act on their scores, and the scale."""
    q, k, _ = layer.project(x, x.shape[1])
    q, k = context.encoding.rotate(q, k, context.new)
    n = x.shape[1]
    terms = context.encoding.terms(x, q, k, tuple(own.last(n, n) for own in context.everything), {})
    scale, terms = sharpen_scores(layer.sharpen, terms, q, n, layer.causal, context.valid)
    return q, k, terms, scale
