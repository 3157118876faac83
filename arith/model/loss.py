"""The cross entropy of a batch: what a model reads of it, what it is to predict, and by how many tokens to divide."""

from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from arith.data.batch import Batch
from arith.encodings.compose import Composed, Ids


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
