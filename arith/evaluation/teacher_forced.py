"""Right or wrong, in one teacher-forced pass.

Greedy decoding gives the right answer if and only if, given the right answer so far, each next token is the
likeliest: by induction one pass over the right answer decides what decoding would need a pass a token for. Up to its
first wrong token it is the answer that decoding gives.
Random spaces in an answer, where a format has them, are given to the model; decoding writes none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arith.data.batch import Batch
from arith.data.dataset import Dataset
from arith.model.transformer import Transformer
from arith.process.signals import Flag

# Of one batch's attention scores, of which a few copies are alive at once. On a CPU what fits its caches is up to a
# fifth faster than four times as much; a GPU wants fewer and larger batches.
SCORE_BYTES = {"cpu": 2**23, "cuda": 2**28}


@dataclass(frozen=True)
class Verdicts:
    """Samples as they were answered.

    Args:
        first_wrong: place in the written answer, from 1, of the first wrong token; 0: the answer is right.
        margin: in nats, by how much the likeliest token was likelier than the next, where that was closest; looked at
            up to the first wrong token, as decoding goes no further on the right way.
    """

    first_wrong: Int[Tensor, " n"]
    margin: Float[Tensor, " n"]

    @property
    def right(self) -> Bool[Tensor, " n"]:
        return self.first_wrong == 0

    def __getitem__(self, rows: slice) -> "Verdicts":
        return Verdicts(self.first_wrong[rows], self.margin[rows])


def judge_dataset(
    model: Transformer,
    data: Dataset,
    n: int,
    flag: Flag | None = None,
    advance: Callable[[int], None] = lambda rows: None,
) -> Verdicts:
    """The first n samples.

    Args:
        flag: once it is raised, the rest is left out, and counts for nothing.
        advance: told how many samples are done, batch by batch.
    """
    device = model.embedding.weight.device
    found = Verdicts(torch.zeros(n, dtype=torch.long), torch.zeros(n))
    for rows, batch in data.batches(n, lambda tokens: rows_at(model, tokens), device):
        if flag is not None and flag.raised:
            break
        own = judge_batch(model, batch)
        found.first_wrong[torch.from_numpy(rows)] = own.first_wrong.cpu()
        found.margin[torch.from_numpy(rows)] = own.margin.cpu()
        advance(len(rows))
    return found


def rows_at(model: Transformer, tokens: int) -> int:
    """Rows of a batch whose attention scores fit into the memory that is allowed for them."""
    return max(1, SCORE_BYTES[model.embedding.weight.device.type] // (4 * model.config.heads * tokens**2))


@torch.no_grad()
def judge_batch(model: Transformer, batch: Batch, moved: int = 0) -> Verdicts:
    """Every sample of a batch, given the right answers.

    Args:
        moved: added to every position id but 0, which stays "no position".
    """
    ids = batch.placed_by(model.encoding)
    if moved:
        ids = model.encoding.move(ids, moved)
    logits = model(batch.tokens[:, :-1], tuple(i[:, :, :-1] for i in ids), queries=batch.queries)
    asked = batch.answer_mask[:, -batch.queries :]
    likeliest, token = logits.max(-1)
    wrong = (token != batch.tokens[:, -batch.queries :]) & asked
    first, any_wrong = wrong.int().argmax(1), wrong.any(1)
    # Of the whole line, counted from 0, and so many of it are the prompt's.
    place = batch.tokens.shape[1] - batch.queries + first + 1 - batch.prompt.length
    next_best = logits.scatter(-1, token[..., None], -torch.inf).max(-1).values
    column = torch.arange(batch.queries, device=first.device)
    visited = asked & ((column <= first[:, None]) | ~any_wrong[:, None])
    margin = (likeliest - next_best).float().masked_fill(~visited, torch.inf).min(1).values
    return Verdicts(place.where(any_wrong, 0), margin)


def exact_matches(model: Transformer, data: Dataset, n: int, flag: Flag | None = None) -> Bool[Tensor, " n"]:
    """Whether each of the first n samples is answered right in every token, the end mark included."""
    return judge_dataset(model, data, n, flag).right
