"""Keys, values and ids of the tokens that a decoder has read."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from arith.encodings.base import Memory, Positions, change_rows


class Growing:
    """A tensor that grows at the end of one dimension.

    When it is full, room for as much again is added, so that n steps copy O(n) numbers, and not O(n^2).

    Args:
        dim: the dimension along which it grows.

    >>> whole = Growing(dim=0)
    >>> for part in (torch.tensor([1, 2]), torch.tensor([3])):
    ...     found = whole.extend(part)
    >>> found
    tensor([1, 2, 3])
    """

    def __init__(self, dim: int) -> None:
        self.dim, self.size = dim, 0
        self.room: Tensor | None = None

    def extend(self, x: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """All so far, with `x` at the end. A dimension of 1 takes the size that it has in `x`."""
        # Position ids start with one row for all samples, and get a row each once an answer's ids differ.
        start, self.size = self.size, self.size + x.shape[self.dim]
        others = [size for dim, size in enumerate(x.shape) if dim != self.dim]
        if self.room is None:
            self.room = x
        elif x.requires_grad or self.room.shape[self.dim] < self.size or self._others() != others:
            # With gradients it is copied every time: backward needs the earlier tensor, so it is never written over.
            shape = [-1 if dim == self.dim else size for dim, size in enumerate(x.shape)]
            parts = [self.room.narrow(self.dim, 0, start).expand(shape), x]
            if not x.requires_grad:
                parts += [torch.empty_like(part) for part in parts]
            self.room = torch.cat(parts, self.dim)
        else:
            self.room.narrow(self.dim, start, x.shape[self.dim]).copy_(x)
        return self.room.narrow(self.dim, 0, self.size)

    def reorder(self, rows: Int[Tensor, " r"], dim: int) -> None:
        """Keep these rows of another dimension, in this order."""
        if self.room is not None:
            self.room = self.room.index_select(dim, rows)

    def _others(self) -> list[int]:
        assert self.room is not None
        return [size for dim, size in enumerate(self.room.shape) if dim != self.dim]


@dataclass
class Cache:
    """Keys, values and position ids so far, and what content-dependent terms remember, for each layer of each loop."""

    keys: defaultdict[int, Growing] = field(default_factory=lambda: defaultdict(lambda: Growing(dim=2)))
    values: defaultdict[int, Growing] = field(default_factory=lambda: defaultdict(lambda: Growing(dim=2)))
    memories: defaultdict[int, Memory] = field(default_factory=lambda: defaultdict(dict))
    ids: defaultdict[int, Growing] = field(default_factory=lambda: defaultdict(lambda: Growing(dim=2)))

    def place(self, positions: tuple[Positions, ...]) -> tuple[Positions, ...]:
        """The new tokens' positions, with those of earlier tokens among the keys."""
        return tuple(replace(new, k=self.ids[scheme].extend(new.k)) for scheme, new in enumerate(positions))

    def extend(
        self, layer: int, k: Float[Tensor, "b g n d"], v: Float[Tensor, "b g n d"]
    ) -> tuple[Float[Tensor, "b g k d"], Float[Tensor, "b g k d"]]:
        """All keys and values of a layer, the new ones last."""
        return self.keys[layer].extend(k), self.values[layer].extend(v)

    def memory(self, layer: int) -> Memory:
        return self.memories[layer]

    def reorder(self, rows: Int[Tensor, " r"]) -> None:
        """Keep these rows, in this order, as beams do."""
        for kept in (*self.keys.values(), *self.values.values()):
            kept.reorder(rows, dim=0)
        for ids in self.ids.values():
            if ids.room is not None and ids.room.shape[1] > 1:  # a single row is all samples'
                ids.reorder(rows, dim=1)
        for layer, memory in self.memories.items():
            self.memories[layer] = change_rows(memory, lambda own: own[rows])
