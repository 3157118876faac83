"""Attention maps of one problem: what each head of each layer looks at, with the tokens on the axes."""

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from arith.data.batch import Batch
from arith.data.typed import write_typed
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.kernels.reference import attention_weights
from arith.kernels.sharpening import sharpen_scores
from arith.model.block import Attention, LayerContext
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
    """

    symbols: str
    weights: tuple[Float[Tensor, "h q k"], ...]


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
    weights = tuple(part[0, :, : len(symbols), : len(symbols)].cpu() for part in record_attention(model, batch))
    return Maps(symbols, weights)


@torch.no_grad()
def record_attention(model: Transformer, batch: Batch) -> list[Float[Tensor, "b h q k"]]:
    """The attention weights of every layer of every loop, computed beside the model from the inputs of its layers.

    A layer that looks up has a map for each lane, with a weight of 1 for the token that is taken.
    """
    # The kernels never hand out weights, so a hook sees each layer's input and computes them again in plain torch.
    found: list[Tensor] = []

    def keep(module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        found.append(weights_of(module, *arguments) if isinstance(module, Attention) else _taken(*arguments))

    layers = [module for module in model.modules() if isinstance(module, Attention | LookupBlock)]
    hooks = [module.register_forward_pre_hook(keep) for module in layers]
    try:
        # With a cache, as loops that are summed are then computed one by one; full attention has none.
        cache = Cache() if model.config.attention == "causal" else None
        queries = None if model.config.prompt_layers is None else batch.queries + 1
        model(batch.tokens, batch.placed_by(model.encoding), queries=queries, cache=cache)
    finally:
        for hook in hooks:
            hook.remove()
    # Above `prompt_layers` the prompt's tokens, the first ones, neither see nor are seen.
    return [functional.pad(own, (batch.tokens.shape[1] - own.shape[3], 0) * 2) for own in found]


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
    q, k, _ = layer.project(x, x.shape[1])
    q, k = context.encoding.rotate(q, k, context.new)
    n = x.shape[1]
    terms = context.encoding.terms(x, q, k, tuple(own.last(n, n) for own in context.everything), {})
    scale, terms = sharpen_scores(layer.sharpen, terms, q, n, layer.causal, context.valid)
    return attention_weights(q, k, terms, layer.causal, context.valid, None, scale)
