"""Terms as the fused kernels take them: all scores that samples share in one tile, and one table by ids per sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from arith.kernels.configs import tile_size
from arith.kernels.gathering import gather
from arith.kernels.reference import slots, trim, visibility
from arith.kernels.routing import drop_token_ids
from arith.kernels.terms import DistanceTable, Ids, PairTable, QueryTable, Term, Window

HIDDEN = -1e30  # as in the kernels, whose own may be added to it: twice as low is still finite


@dataclass(frozen=True)
class Folded:
    """What the terms of one call come to.

    Args:
        tile: scores added in every sample; None if there are none.
        table: a score for each distance of `ids`, as in a `DistanceTable`.
        ids: each sample's ids, for the table.
        window: a window on ids of each sample.
        states: what each query asks of the slab.
        slab: what queries ask, by distance: with n the keys, rounded up to a size of tiles, first the distances 0 and
            1 - n to -1, then 0 to n - 1.
    """

    tile: Float[Tensor, "h q k"] | None = None
    table: Float[Tensor, "h 2r+2"] | None = None
    ids: Ids | None = None
    window: Window | None = None
    states: Float[Tensor, "b h q e"] | None = None
    slab: Float[Tensor, "h 2n e"] | None = None

    # Scores are kept in 32 bits, or 64: they are added to 32-bit products, and their gradients are sums over the batch.
    def with_tile(self, scores: Float[Tensor, "#h q k"], heads: int) -> "Folded":
        scores = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
        tile = scores.expand(heads, -1, -1)
        return replace(self, tile=tile if self.tile is None else self.tile + tile)

    def with_table(self, values: Float[Tensor, "h 2r+2"], heads: int) -> "Folded":
        # At a radius of 0 both sums of far pairs, at -r and below and at r and above, would count the distance 0.
        values = _widen(values.float() if values.dtype in (torch.float16, torch.bfloat16) else values, 1)
        if self.table is not None:
            radius = max(radius_of(self.table), radius_of(values))
            values = _widen(self.table, radius) + _widen(values, radius)
        return replace(self, table=values.expand(heads, -1))


def fold(terms: Sequence[Term], heads: int, queries: int, keys: int, device: torch.device) -> Folded:
    """Add up the terms, differentiably.

    Args:
        terms: such as the fused kernels can take; see `arith.kernels.routing`.
    """
    folded = Folded()
    for term in drop_token_ids(terms):
        assert isinstance(term, DistanceTable | PairTable | QueryTable | Window)
        # What is the same in every sample becomes part of the tile, whatever it is.
        shared = term.ids is None or term.ids.shared
        match term:
            case DistanceTable(values) if shared:
                slot = slots(values.shape[1] - 2, term.ids, queries, keys, device)[0]
                folded = folded.with_tile(gather(values, slot), heads)
            case DistanceTable(values):
                folded = replace(folded.with_table(values, heads), ids=term.ids)
            case PairTable(values, None):
                folded = folded.with_tile(values[:, keys - queries : keys, :keys], heads)
            case PairTable(values, Ids(q, k)):
                folded = folded.with_tile(_pairs(values, q[0], k[0]), heads)
            case QueryTable(states, values):
                slab = _slab(term, tile_size(keys)).expand(heads, -1, -1)
                folded = replace(folded, states=states, slab=slab)
            case Window() if shared:
                visible = visibility(queries, keys, (term,), False, None, None, device)
                assert visible is not None
                # A window that all samples share hides the same pairs in all: it becomes scores of the tile.
                hidden = torch.zeros(1, queries, keys, device=device).masked_fill(~visible[0], HIDDEN)
                folded = folded.with_tile(hidden, heads)
            case Window():
                folded = replace(folded, window=term)
    return folded


def radius_of(table: Float[Tensor, "h 2r+2"] | None) -> int:
    """The distance from which on all have one score; 0 without a table."""
    return 0 if table is None else table.shape[1] // 2 - 1


def _widen(values: Float[Tensor, "h 2r+2"], radius: int) -> Float[Tensor, "h 2s+2"]:
    """The same scores in a table for more distances: its ends are repeated."""
    more = radius - radius_of(values)
    if more <= 0:
        return values
    nearest, farthest, unplaced = values[:, :1], values[:, -2:-1], values[:, -1:]
    return torch.cat([nearest.expand(-1, more), values[:, :-1], farthest.expand(-1, more), unplaced], dim=1)


def _pairs(values: Float[Tensor, "h p p"], q: Int[Tensor, " q"], k: Int[Tensor, " k"]) -> Float[Tensor, "h q k"]:
    rows, width = values.shape[1:]
    none = rows * width  # the slot behind all others: pairs without a position, whose score is 0
    pair = (q[:, None] - 1) * width + k - 1
    pair = pair.masked_fill((q <= 0)[:, None] | (k <= 0), none)
    pair = pair.masked_fill((q > rows)[:, None] | (k > width), none + 1)  # out of range, so that gather raises
    flat = torch.cat([rearrange(values, "h p r -> h (p r)"), values.new_zeros(values.shape[0], 1)], dim=1)
    return gather(flat, pair)


def _slab(term: QueryTable, n: int) -> Float[Tensor, "#h 2n e"]:
    """Values by distance from 1 - n to n - 1, those behind first, as `Folded` has them."""
    # By slices alone: their gradients are sums in a fixed order, those of a selection are not.
    term = trim(term, 1 - n, n - 1)
    values = term.values
    # A table out of reach has one slot left, which may as well lie next to what is reached.
    begin = min(max(term.first, -n), n)
    missing = max(begin - (1 - n), 0), max(n - begin - values.shape[1], 0)
    parts = []
    for end, more in ((values[:, :1], missing[0]), (values[:, -1:], missing[1])):
        parts.append((end if term.ends else torch.zeros_like(end)).expand(-1, more, -1))
    whole = torch.cat([parts[0], values, parts[1]], dim=1)
    first = max(1 - n - begin, 0)
    whole = whole[:, first : first + 2 * n - 1]
    return torch.cat([whole[:, n - 1 : n], whole[:, : n - 1], whole[:, n - 1 :]], dim=1)


@dataclass(frozen=True)
class Long:
    """What the terms of one call come to where a tile of all scores would be too large.

    Args:
        left, right: how far a query sees by token index; causality is a `right` of 0.
        tile: scores by pairs of tokens, added in every sample.
        table: a score for each distance of token indices.
        id_table: a score for each distance of `ids`.
        ids: ids of each sample, or one row for all.
        window: a window on ids.
        asked: a score for each distance of token indices, which the query decides.
    """

    left: int
    right: int
    tile: Float[Tensor, "h q k"] | None = None
    table: Float[Tensor, "h 2r+2"] | None = None
    id_table: Float[Tensor, "h 2r+2"] | None = None
    ids: Ids | None = None
    window: Window | None = None
    asked: QueryTable | None = None


def fold_long(terms: Sequence[Term], heads: int, queries: int, keys: int, causal: bool) -> Long:
    """Add up the terms, differentiably: scores by pairs, and two tables and windows, each by token index and by ids.

    What queries ask of a table is left as it is, but for the slots that no visible pair has.
    """
    by_token, by_id = Folded(), Folded()
    left, right = keys, 0 if causal else keys
    ids: Ids | None = None
    window: Window | None = None
    asked: QueryTable | None = None
    for term in drop_token_ids(terms):
        match term:
            case PairTable(values, None):
                by_token = by_token.with_tile(values[:, keys - queries : keys, :keys], heads)
            case DistanceTable(values, None):
                by_token = by_token.with_table(values, heads)
            case DistanceTable(values):
                by_id, ids = by_id.with_table(values, heads), term.ids
            case Window(_, _, None):
                left, right = min(left, term.left), min(right, term.right)
            case Window():
                window = term
            case QueryTable(ids=None):
                asked = term
            case _:
                raise TypeError(f"{type(term).__name__} is not for long sequences")
    if asked is not None:
        asked = trim(asked, max(-left, 1 - keys), min(right, keys - 1))
    return Long(left, right, by_token.tile, by_token.table, by_id.table, ids, window, asked)
