"""Which tiles of a long attention hold a visible pair, worked out on the device: no program visits the others."""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

FARTHEST = 2**31 - 1


@dataclass(frozen=True)
class Masks:
    """What hides keys from queries, which are the last of the keys.

    Args:
        left, right: how far a query sees by token index; causality is a `right` of 0.
        window: ids of queries and keys, for a window on ids.
        id_left, id_right: how far that window reaches to either side.
        valid: 0 marks padding among the keys.
        documents: the document of each key; tokens attend within their own.
    """

    queries: int
    keys: int
    left: int
    right: int
    window: tuple[Int[Tensor, "b q"], Int[Tensor, "b k"]] | None = None
    id_left: int = 0
    id_right: int = 0
    valid: Int[Tensor, "b k"] | None = None
    documents: Int[Tensor, "b k"] | None = None

    @property
    def by_sample(self) -> bool:
        """Whether samples differ in what is visible: then a range of tiles does not say it, and lists are made."""
        return self.window is not None or self.valid is not None or self.documents is not None


def visible_tiles(masks: Masks, block_q: int, block_k: int) -> Bool[Tensor, "b q k"]:
    """Tiles that may hold a visible pair, judged by the extremes of what is in them; those left out hold none."""
    # Only masks that differ by sample come here, so that at least one tensor says which device to work on.
    given = next(x for x in (masks.documents, masks.valid, masks.window and masks.window[1]) if x is not None)
    device = given.device
    earlier = masks.keys - masks.queries
    low_q = torch.arange(earlier, masks.keys, block_q, device=device)[:, None]
    low_k = torch.arange(0, masks.keys, block_k, device=device)
    high_q = (low_q + block_q).clamp(max=masks.keys) - 1
    high_k = (low_k + block_k).clamp(max=masks.keys) - 1
    # A tile is in reach if its nearest pair is: its last query and first key ahead, the other way around behind.
    visible = ((low_k - high_q <= masks.right) & (high_k - low_q >= -masks.left))[None]
    if masks.valid is not None:
        visible = visible & (tiles(masks.valid, block_k) != 0).any(2)[:, None, :]
    if masks.documents is not None:
        # Extremes that overlap need not share a document: that costs a visit, and hides nothing.
        low_q, high_q = (x[..., None] for x in _extremes(masks.documents[:, earlier:], block_q))
        low_k, high_k = (x[:, None] for x in _extremes(masks.documents, block_k))
        visible = visible & (low_k <= high_q) & (high_k >= low_q)
    if masks.window is not None:
        low_q, high_q = (x[..., None] for x in spans(masks.window[0], block_q))
        low_k, high_k = (x[:, None] for x in spans(masks.window[1], block_k))
        near = (low_k - high_q <= masks.id_right) & (high_k - low_q >= -masks.id_left)
        # A pair of which one id is 0 is visible at any distance.
        free_q, free_k = (
            (tiles(ids, block) == 0).any(2) for ids, block in zip(masks.window, (block_q, block_k), strict=True)
        )
        visible = visible & (near | free_q[..., None] | free_k[:, None])
    return visible


class Visits:
    """The tiles that show anything, searched for once for each size of tile.

    Args:
        masks: what hides keys from queries.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = masks
        self._found: dict[tuple[int, int], Bool[Tensor, "b q k"]] = {}

    def visible(self, block_q: int, block_k: int) -> Bool[Tensor, "b q k"] | None:
        """Tiles that may hold a visible pair; None where a range of tiles says it, the same for all samples."""
        if not self.masks.by_sample:
            return None
        size = block_q, block_k
        if size not in self._found:
            self._found[size] = visible_tiles(self.masks, *size)
        return self._found[size]

    def lists(self, block_q: int, block_k: int, by_key: bool = False) -> tuple[Tensor | None, Tensor | None]:
        """The tiles of keys that each tile of queries visits, or the other way around, and how many; see `visible`."""
        visible = self.visible(block_q, block_k)
        if visible is None:
            return None, None
        return visit_lists(visible.transpose(1, 2) if by_key else visible)


def visit_lists(visible: Bool[Tensor, "b q k"]) -> tuple[Int[Tensor, "b q k"], Int[Tensor, "b q"]]:
    """For each tile of queries the tiles of keys to visit, in order, and how many."""
    # A stable sort puts visible tiles first, in their order: no shape depends on values, so that nothing waits.
    order = visible.logical_not().to(torch.int8).sort(dim=2, stable=True).indices
    return order.to(torch.int32).contiguous(), visible.sum(2, dtype=torch.int32)


def spans(ids: Int[Tensor, "b n"], block: int) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b t"]]:
    """The lowest and the highest id of each tile, 0 left out; where all are 0, the lowest is above the highest."""
    ids = ids.long()
    low = tiles(ids.masked_fill(ids == 0, FARTHEST), block).amin(2)
    return low, tiles(ids.masked_fill(ids == 0, -FARTHEST), block).amax(2)


def begin_at_block(
    q: Int[Tensor, "b q"], k: Int[Tensor, "b k"], block: int
) -> tuple[Int[Tensor, "b q"], Int[Tensor, "b k"]]:
    """Ids of each sample moved so that the lowest begins a block of ids; 0, which is no position, stays.

    >>> begin_at_block(torch.tensor([[6]]), torch.tensor([[0, 5, 6]]), block=4)
    (tensor([[5]], dtype=torch.int32), tensor([[0, 4, 5]], dtype=torch.int32))
    """
    lowest = torch.minimum(*(spans(ids, ids.shape[1])[0] for ids in (q, k)))
    # At the first block and not at 0, which would lose the position.
    moved_q, moved_k = (torch.where(ids == 0, 0, ids - lowest + block).to(torch.int32) for ids in (q, k))
    return moved_q, moved_k


def _extremes(x: Int[Tensor, "b n"], block: int) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b t"]]:
    by_tile = tiles(x, block)
    return by_tile.amin(2), by_tile.amax(2)


def tiles(x: Shaped[Tensor, "b n"], block: int) -> Shaped[Tensor, "b t block"]:
    """Tokens by tile; the last tile is filled up with copies of the last token, which changes no extreme."""
    whole = torch.cat([x, x[:, -1:].expand(-1, -x.shape[1] % block)], dim=1)
    return rearrange(whole, "b (t block) -> b t block", block=block)
