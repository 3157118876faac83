"""The loss of a batch: answers, a trace's states, or answers and running sums."""

from collections.abc import Callable

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from arith.data.batch import Batch
from arith.encodings.compose import Ids
from arith.model.looped import Looped, columns
from arith.model.summing import Summing
from arith.model.transformer import Transformer

LossOf = Callable[[Transformer, Batch], Float[Tensor, ""]]


def with_sums(
    model: Summing, tokens: Int[Tensor, "b n"], ids: Ids, batch: Batch
) -> tuple[Float[Tensor, "b a v"], Float[Tensor, ""]]:
    """Logits of the tokens asked for, and the cross entropy of the running sums, weighted and summed over columns.

    Args:
        tokens, ids: of the batch, without the last of each.
    """
    width = batch.samples.answer_width
    assert width is not None
    columns = min(model.sums.columns, batch.longest_answer - 1)  # the end mark is asked for too
    column = torch.arange(columns, device=tokens.device)
    places = (batch.samples.prompt_length[:, None] - 1 + column).clamp(max=tokens.shape[1] - 1)
    logits, sums = model.both(tokens, ids, batch.queries, batch.picked, places)
    target = model.sums.targets(batch)[:, :columns]
    each = functional.cross_entropy(sums.flatten(0, 1).float(), target.flatten(), reduction="none")
    # Columns that a row does not have are left out by weight: to pick the others would wait for their number.
    told = (each.view_as(target) * (column < width[:, None])).sum()
    return logits, model.loss_weight * told


def trace_loss(model: Looped, batch: Batch) -> Float[Tensor, ""]:
    """Cross entropy of all numbers of the state after one loop of each sample, averaged."""
    assert batch.loops is not None
    loops, ids = batch.loops, batch.placed_by(model.encoding)
    logits = model.revised(batch.tokens, loops.before.long(), ids, loops.loop[:, None], batch.queries)
    inside = columns(batch.tokens)[:, -batch.queries :]
    target = loops.after[:, -batch.queries :].long()
    # What is outside is left out by weight: to pick what is inside would wait for its number.
    each = functional.cross_entropy(logits.flatten(0, 2).float(), target.flatten(), reduction="none")
    return (each.view_as(target) * inside[..., None]).sum() / (inside.sum() * model.parts)


def answer_loss(model: Transformer, batch: Batch) -> Float[Tensor, ""]:
    """Cross entropy of the tokens asked for, summed, and divided by how many the whole step has.

    Of a model that learns loops of a trace, `trace_loss`. Of one that is told running sums, theirs is summed too.
    """
    if isinstance(model, Looped):
        return trace_loss(model, batch)
    tokens, ids = batch.tokens[:, :-1], tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    told: Tensor | None = None
    if isinstance(model, Summing):
        logits, told = with_sums(model, tokens, ids, batch)
    else:
        logits = model(tokens, ids, queries=batch.queries, picked=batch.picked)
    wanted, asked = batch.wanted
    # Tokens that are not asked for are left out by weight: to pick the others would wait for their number.
    each = functional.cross_entropy(rearrange(logits, "b a v -> (b a) v").float(), wanted.flatten(), reduction="none")
    summed = (each * asked.flatten()).sum()
    if told is not None:
        summed = summed + told
    return summed / (asked.sum() if batch.total is None else batch.total)
