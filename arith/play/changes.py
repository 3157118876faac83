"""What became different when a problem was edited."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from arith.play.trace import Trace
from arith.tasks import vocabulary

MOVED = 0.005  # of probability or attention: less is shown as no change


def compare(before: Trace, after: Trace) -> dict[str, Any]:
    """What differs between two problems of one model, as plain data.

    Answers are compared place by place. Tokens, ids and heads are compared where both lines have as many tokens before
    the answer, so that a place means the same in both.

    Returns:
        The earlier problem; `reply`, for each place of the answer the token there before, its probability, and the
        share of the probability that moved; and, or None where lines do not match, the places of changed `tokens`, of
        changed `ids` by scheme and level, and for each head of each layer the largest share of a query's attention
        that `moved`.
    """
    reply = [_compare_reply(before, after, place) for place in range(len(after.written))]
    changes: dict[str, Any] = {"problem": before.problem, "reply": reply, "tokens": None, "ids": None, "moved": None}
    if before.prompt != after.prompt:
        return changes
    both = min(len(before.tokens), len(after.tokens))
    changes["tokens"] = _places(before.tokens[:both], after.tokens[:both])
    changes["ids"] = [
        [_places(old[:both], new[:both]) for old, new in zip(first.levels, second.levels, strict=True)]
        for first, second in zip(before.ids, after.ids, strict=True)
    ]
    # A looped model runs as often as its problem asks for.
    pairs = zip(before.layers, after.layers, strict=False)
    changes["moved"] = [
        _moved(old.weights()[0, :, :both, :both], new.weights()[0, :, :both, :both]) for old, new in pairs
    ]
    return changes


def _compare_reply(before: Trace, after: Trace, place: int) -> dict[str, Any] | None:
    if place >= len(before.written):
        return None
    token = before.written[place]
    own = before.probabilities[place]
    moved = float((own - after.probabilities[place]).abs().sum() / 2)
    return {
        "token": vocabulary.SYMBOLS[token],
        "probability": float(own[token]),
        "moved": moved if moved >= MOVED else 0.0,
        "changed": token != after.written[place],
    }


def _places(before: Tensor, after: Tensor) -> list[int]:
    found: list[int] = (before != after).nonzero()[:, 0].tolist()
    return found


def _moved(before: Float[Tensor, "h q k"], after: Float[Tensor, "h q k"]) -> list[float]:
    """For each head the largest share of any query's attention that went to other keys."""
    shares = (before - after).abs().sum(-1).amax(-1) / 2
    return [round(share, 3) for share in shares.masked_fill(shares < MOVED, 0).tolist()]
