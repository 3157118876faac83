"""Attention behind narrow windows in plain torch: its cost grows with the tokens, not with their square.

Tokens are put in the order of their ids. A block of queries then sees one stretch of keys, ids from its lowest less
`left` to its highest plus `right`, and the keys without a position. The reference attends within the blocks as if they
were samples of a batch. Queries without a position see every key; they are few, and form a block of their own.
Keys that a second window hides from all queries with a position are in none of the other blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from arith.kernels import reference
from arith.kernels.terms import DistanceTable, Ids, PairTable, QueryTable, Term, Window

SHORTEST = 256  # keys; with fewer, sorting costs more than it saves
GAIN = 4  # times fewer pairs must be computed than there are, or the reference computes all
SMALLEST, LARGEST = 16, 128  # queries in a block
Placed = DistanceTable | PairTable | QueryTable | Window  # terms that know a pair by its ids alone
AnyPlaced = TypeVar("AnyPlaced", bound=Placed)


@dataclass(frozen=True)
class Blocks:
    """Queries that attend to the same keys.

    Args:
        queries, keys: token indices.
        there: False marks padding among the keys of a block.
    """

    queries: Int[Tensor, "#b m i"]
    keys: Int[Tensor, "#b m j"]
    there: Bool[Tensor, "#b m j"]


@dataclass(frozen=True)
class Layout:
    """All queries in blocks.

    Args:
        everywhere: the queries without a position, which see all keys; None if there are none.
        nearby: all others in the order of their ids, the last block padded with copies of the last query.
        places: token index of each query in this order, those of `everywhere` first.
    """

    everywhere: Blocks | None
    nearby: Blocks
    places: Int[Tensor, "#b q"]


def takes(terms: Sequence[Term], keys: int) -> bool:
    """Whether a window may hide most of the keys. Layouts depend on values of ids, which no compiled graph can ask."""
    return (
        keys >= SHORTEST
        and all(isinstance(term, Placed) for term in terms)
        and any(isinstance(term, Window) for term in terms)
        and not torch.compiler.is_compiling()
    )


def attention(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    terms: Sequence[Term],
    causal: bool,
    valid: Bool[Tensor, "b k"] | None,
    documents: Int[Tensor, "b k"] | None,
    scale: float | Float[Tensor, "#b q"],
    softcap: float | None = None,
    sinks: Float[Tensor, "b h q"] | None = None,
) -> Float[Tensor, "b h q d"]:
    """As the reference, without most of the pairs that windows hide; where windows are wide, with all."""
    # Scaled here, so that queries can be put in another order without factors of their own.
    q, scale = (reference.scale_queries(q, scale), 1.0) if isinstance(scale, Tensor) else (q, scale)
    queries, keys = q.shape[2], k.shape[2]
    windows = [term for term in terms if isinstance(term, Window)]
    if queries == 1:
        blocks = _single_block(windows, keys, q.device)
        if GAIN * blocks.keys.shape[2] > keys:
            return reference.attention(q, k, v, terms, causal, valid, documents, scale, softcap, sinks)
        return _attend(blocks, q, k, v, terms, causal, valid, documents, scale, softcap, sinks)
    windows = [_with_ids(window, queries, keys, q.device) for window in windows]
    tried = [layout(_leave_out_hidden(window, windows), causal) for window in windows]
    layouts = [found for found in tried if found is not None]
    if not layouts:
        return reference.attention(q, k, v, terms, causal, valid, documents, scale, softcap, sinks)
    # One window decides the blocks; the others are masks inside them.
    best = min(layouts, key=lambda found: found.nearby.keys.shape[2])
    parts = [
        _attend(blocks, q, k, v, terms, causal, valid, documents, scale, softcap, sinks)
        for blocks in (best.everywhere, best.nearby)
        if blocks is not None
    ]
    by_id = torch.cat(parts, dim=2)[:, :, :queries]  # copies that pad the last block are cut off
    return _take_tokens(by_id, best.places.argsort(1)[:, None])  # back to the order of tokens


def _leave_out_hidden(window: Window, windows: Sequence[Window]) -> Window:
    """The window with keys that another one hides from all its placed queries far away, where no block finds them.

    In a product the digits of one factor have no position for the window of the other: each block would hold them all.
    """
    assert window.ids is not None
    asking, hidden = window.ids.q != 0, None
    for other in windows:
        if other is window or other.ids is None:
            continue
        rows = max(len(asking), len(other.ids.q), len(other.ids.k))
        far = torch.iinfo(other.ids.q.dtype).max
        ids_k = other.ids.k.expand(rows, -1).contiguous()
        ids_q = torch.where(asking, other.ids.q, far).expand(rows, -1).sort(dim=1).values
        # A query without a position there sees every key.
        bounded = ~(asking & (other.ids.q == 0)).any(1, keepdim=True)
        below, up_to = (ids_k - other.right, ids_k + other.left)
        none = torch.searchsorted(ids_q, below) == torch.searchsorted(ids_q, up_to, right=True)
        unseen = none & (ids_k != 0) & bounded
        hidden = unseen if hidden is None else hidden | unseen
    if hidden is None or not bool(hidden.any()):
        return window
    far = torch.iinfo(window.ids.k.dtype).max
    return replace(window, ids=Ids(window.ids.q, window.ids.k.masked_fill(hidden, far)))


def layout(window: Window, causal: bool) -> Layout | None:
    """Blocks for a window on ids; None if they would hold a large share of all pairs, or if ids are negative."""
    assert window.ids is not None
    # In the order of ids, tokens without a position, whose id is 0, come first.
    ids_k, places_k = window.ids.k.sort(dim=1, stable=True)
    ids_q, places_q = window.ids.q.sort(dim=1, stable=True)
    rows = max(len(ids_q), len(ids_k))
    ids_k, places_k, ids_q, places_q = (x.expand(rows, -1).contiguous() for x in (ids_k, places_k, ids_q, places_q))
    queries, keys = ids_q.shape[1], ids_k.shape[1]
    if min(int(ids_q[:, 0].min()), int(ids_k[:, 0].min())) < 0:  # ids of 0 would not be the first
        return None
    # Samples are laid out alike: as many queries see everything in each as in the one with the most.
    dense = int((ids_q == 0).sum(1).max())
    placed = queries - dense
    if GAIN * dense * keys > queries * keys or not placed:
        return None

    def stretch(lowest: Int[Tensor, "b m"], highest: Int[Tensor, "b m"]) -> tuple[Int[Tensor, "b m"], ...]:
        first = torch.searchsorted(ids_k, (lowest - window.left).clamp(min=1))
        return first, torch.searchsorted(ids_k, highest + window.right, right=True)

    first, end = stretch(ids_q[:, dense:], ids_q[:, dense:])
    # As many queries as one of them sees keys, about: the block then sees some two windows, half of them in vain.
    typical = int((end - first).float().mean())
    size = min(max(1 << typical.bit_length(), SMALLEST), LARGEST)
    count = -(-placed // size)
    place = torch.arange(dense, dense + count * size, device=ids_q.device).clamp(max=queries - 1).view(count, size)
    first, end = stretch(ids_q[:, place[:, 0]], ids_q[:, place[:, -1]])
    # Keys without a position are for all; but under causality, not what stands behind all these queries: padding.
    last = places_q[:, dense:].amax(1, keepdim=True) + keys - queries if causal else keys
    unplaced = ((ids_k == 0) & (places_k <= last)).sum(1, keepdim=True)
    widths = int(unplaced.max()), max(int((end - first).max()), 0)
    if GAIN * (dense * keys + count * size * sum(widths)) > queries * keys:
        return None
    # Keys of a block: those without a position, then its stretch; every block is as wide as the widest.
    offsets = [torch.arange(width, device=ids_q.device) for width in widths]
    nowhere, stretched = offsets[0].expand(rows, count, -1), first[..., None] + offsets[1]
    there = torch.cat([nowhere < unplaced[..., None], stretched < end[..., None]], dim=2)
    order = torch.cat([nowhere, stretched], dim=2).clamp(max=keys - 1)
    nearby = Blocks(places_q[:, place], _at(places_k, order), there)
    if not dense:
        return Layout(None, nearby, places_q)
    all_keys = torch.arange(keys, device=ids_q.device)[None, None]
    everywhere = Blocks(places_q[:, None, :dense], all_keys, torch.ones_like(all_keys, dtype=torch.bool))
    return Layout(everywhere, nearby, places_q)


def _single_block(windows: Sequence[Window], keys: int, device: torch.device) -> Blocks:
    """One block for all samples: a single query of each, and the keys that any of them sees."""
    visible = reference.visibility(1, keys, windows, False, None, None, device)
    assert visible is not None
    seen = visible.any(0).flatten().nonzero()[None, None, :, 0]
    return Blocks(seen.new_zeros(1, 1, 1), seen, torch.ones_like(seen, dtype=torch.bool))


def _attend(
    blocks: Blocks,
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    terms: Sequence[Term],
    causal: bool,
    valid: Bool[Tensor, "b k"] | None,
    documents: Int[Tensor, "b k"] | None,
    scale: float,
    softcap: float | None,
    sinks: Float[Tensor, "b h q"] | None,
) -> Float[Tensor, "b h m*i d"]:
    """Attention inside each block, the blocks of a sample one after the other."""
    batch, queries, keys = q.shape[0], q.shape[2], k.shape[2]

    def inside(ids: Ids) -> Ids:
        return Ids(
            _at(ids.q, blocks.queries, batch).flatten(0, 1),
            _at(ids.k, blocks.keys, batch).flatten(0, 1),
        )

    # Token indices mean nothing inside a block: causality and documents become windows on ids, none of which is 0.
    placed: list[Placed] = [term for term in terms if isinstance(term, Placed)]
    if causal:
        placed.append(Window(keys, 0))
    windows = [term for term in placed if isinstance(term, Window)]
    every = [_with_ids(_trim(term, windows), queries, keys, q.device) for term in placed]
    if documents is not None:
        named = torch.unique(documents, return_inverse=True)[1] + 1
        every.append(Window(0, 0, Ids(named[:, keys - queries :], named)))
    moved = [replace(term, ids=inside(term.ids)) for term in every if term.ids is not None]
    moved = [
        replace(term, states=_take_tokens(term.states, blocks.queries)) if isinstance(term, QueryTable) else term
        for term in moved
    ]
    there = blocks.there if valid is None else blocks.there & _at(valid, blocks.keys)
    out = reference.attention(
        _take_tokens(q, blocks.queries),
        _take_tokens(k, blocks.keys),
        _take_tokens(v, blocks.keys),
        moved,
        False,
        there.expand(batch, -1, -1).flatten(0, 1),
        None,
        scale,
        softcap,
        None if sinks is None else _take_tokens(sinks[..., None], blocks.queries)[..., 0],
    )
    return rearrange(out, "(b m) h i d -> b h (m i) d", b=batch)


def _trim(term: Placed, windows: Sequence[Window]) -> Placed:
    """A table of queries without the slots that windows on the same ids hide: it has a score for each of the others."""
    for window in windows:
        if isinstance(term, QueryTable) and window.ids is term.ids:
            term = reference.trim(term, -window.left, window.right)
    return term


def _with_ids(term: AnyPlaced, queries: int, keys: int, device: torch.device) -> AnyPlaced:
    """The same term with ids: the token index + 1 where it had none."""
    return term if term.ids is not None else replace(term, ids=reference.token_index(queries, keys, device))


def _at(x: Shaped[Tensor, "#b n"], places: Int[Tensor, "#b m i"], rows: int = 1) -> Shaped[Tensor, "b m i"]:
    """The entries of x at some token indices."""
    rows = max(rows, len(x), len(places))
    places = places.expand(rows, -1, -1)
    return x.expand(rows, -1).gather(1, places.flatten(1)).view_as(places)


def _take_tokens(x: Float[Tensor, "b h n d"], places: Int[Tensor, "#b m i"]) -> Float[Tensor, "b*m h i d"]:
    """The tokens at some indices, each block as a sample of its own."""
    m, i = places.shape[1:]
    if len(places) == 1:
        return rearrange(x.index_select(2, places.flatten()), "b h (m i) d -> (b m) h i d", m=m)
    b, n = x.shape[0], x.shape[2]
    flat = places + n * torch.arange(b, device=x.device)[:, None, None]
    picked = rearrange(x, "b h n d -> (b n) h d").index_select(0, flat.flatten())
    return rearrange(picked, "(c i) h d -> c h i d", i=i)
