"""Right or wrong, in one teacher-forced pass.

Greedy decoding gives the right answer if and only if each token of the right answer is the likeliest one, given those
before it. By induction, one pass over the right answer decides what decoding needs a pass a token for, and up to the
first wrong token both see the same sequence.
Random spaces in an answer, where a format has them, are given to the model; decoding writes none.
Long problems of models that see no farther than a window are read block by block: see `arith.evaluation.blocks`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arith.data.batch import Batch
from arith.data.dataset import Dataset
from arith.evaluation import blocks
from arith.model.transformer import Transformer
from arith.process.signals import Flag

# The bytes of one layer's attention scores in a batch; a few copies are alive at once. On a CPU, scores that fit the
# caches are up to a fifth faster than four times as many; a GPU wants fewer and larger batches.
SCORE_BYTES = {"cpu": 2**23, "cuda": 2**28}


@dataclass(frozen=True)
class Verdicts:
    """Whether samples are answered right, where they go wrong, and how close it was.

    Args:
        first_wrong: the place in the written answer, counted from 1, of the first wrong token; 0 for a right answer.
        margin: the smallest lead, in nats, of the likeliest token over the second, up to the first wrong token.
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
    advance: Callable[[float], None] = lambda done: None,
    worth: float = 1,
) -> Verdicts:
    """Judge the first n samples of a dataset, in the order of the dataset.

    Args:
        model: the model.
        data: the samples.
        n: the number of samples.
        flag: a flag that stops it once raised; verdicts on the samples not reached yet mean nothing.
        advance: a callback for progress, called after each batch with what its samples are worth.
        worth: what each sample adds to the progress.
    """
    device = model.embedding.weight.device
    found = Verdicts(torch.zeros(n, dtype=torch.long), torch.zeros(n))
    # Batches hold samples of about one length, so they come in another order than the samples.
    for rows, batch in data.batches(n, lambda tokens: rows_at(model, tokens), device):
        if flag is not None and flag.raised:
            break
        part = judge_batch(model, batch)
        found.first_wrong[torch.from_numpy(rows)] = part.first_wrong.cpu()
        found.margin[torch.from_numpy(rows)] = part.margin.cpu()
        advance(len(rows) * worth)
    return found


def rows_at(model: Transformer, tokens: int) -> int:
    """The batch size at which one layer's attention scores stay within `SCORE_BYTES`; at least 1."""
    # float32 scores [rows, heads, tokens, tokens]. They alone grow with the square of the length, so at the lengths
    # of extrapolation they decide what fits; a kernel that never stores them gets smaller batches than it could take.
    return max(1, SCORE_BYTES[model.embedding.weight.device.type] // (4 * model.config.heads * tokens**2))


@torch.no_grad()
def judge_batch(model: Transformer, batch: Batch, moved: int = 0) -> Verdicts:
    """Judge every sample of a batch in one pass over prompts and right answers.

    Args:
        model: the model.
        batch: the samples, with their right answers.
        moved: the number added to every position id but 0, which stays "no position".
    """
    ids = batch.placed_by(model.encoding)
    if moved:
        ids = model.encoding.move(ids, moved)
    tokens, ids = batch.tokens, tuple(i[:, :, :-1] for i in ids)  # the last token predicts nothing
    asked = batch.answer_mask[:, -batch.queries :]
    if tokens.shape[1] > blocks.STREAMED and (parts := blocks.find_blocks(model, ids, batch.queries)):
        token, lead = blocks.predict_in_blocks(model, tokens[:, :-1], ids, parts, batch.queries)
    else:
        # Only the last `queries` tokens predict an answer's token in some row, and logits are computed for them alone.
        token, lead = blocks.likeliest(model(tokens[:, :-1], ids, queries=batch.queries))
    wrong = (token != tokens[:, -batch.queries :]) & asked
    # argmax gives the first of equal values: the first wrong token, or 0 where none is wrong.
    first, any_wrong = wrong.int().argmax(1), wrong.any(1)
    # From a column of the logits to a place in the answer: its column in the line, less the prompt, counted from 1.
    place = tokens.shape[1] - batch.queries + first + 1 - batch.prompt.length
    column = torch.arange(batch.queries, device=first.device)
    # Beyond the first wrong token the pass still sees the right answer, where decoding would see its own: a margin
    # there belongs to a sequence that decoding never reaches.
    visited = asked & ((column <= first[:, None]) | ~any_wrong[:, None])
    margin = lead.masked_fill(~visited, torch.inf).min(1).values
    return Verdicts(place.where(any_wrong, 0), margin)


def exact_matches(model: Transformer, data: Dataset, n: int, flag: Flag | None = None) -> Bool[Tensor, " n"]:
    """Whether each of the first n samples is answered right in every token, the end mark included."""
    return judge_dataset(model, data, n, flag).right
