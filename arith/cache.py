"""What a decoder keeps of the tokens it has read."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.encodings.base import SHARED, Memory, Positions


@dataclass
class Cache:
    """Keys, values and position ids so far, and what content-dependent terms remember, for each layer of each loop."""

    keys: dict[int, Float[Tensor, "b g k d"]] = field(default_factory=dict)
    values: dict[int, Float[Tensor, "b g k d"]] = field(default_factory=dict)
    memories: dict[int, Memory] = field(default_factory=dict)
    ids: tuple[Int[Tensor, "levels b k"], ...] = ()

    def place(self, positions: tuple[Positions, ...]) -> tuple[Positions, ...]:
        """The new tokens' positions, with those of earlier tokens among the keys."""
        if self.ids:
            positions = tuple(new.after(ids) for new, ids in zip(positions, self.ids, strict=True))
        self.ids = tuple(new.k for new in positions)
        return positions

    def extend(
        self, layer: int, k: Float[Tensor, "b g n d"], v: Float[Tensor, "b g n d"]
    ) -> tuple[Float[Tensor, "b g k d"], Float[Tensor, "b g k d"]]:
        """All keys and values of a layer, the new ones last."""
        if layer in self.keys:
            k = torch.cat([self.keys[layer], k], dim=2)
            v = torch.cat([self.values[layer], v], dim=2)
        self.keys[layer], self.values[layer] = k, v
        return k, v

    def memory(self, layer: int) -> Memory:
        return self.memories.setdefault(layer, {})

    def reorder(self, rows: Int[Tensor, " r"]) -> None:
        """Keep these rows, in this order, as beams do."""
        for kept in (self.keys, self.values):
            kept.update({layer: own[rows] for layer, own in kept.items()})
        self.ids = tuple(own if own.shape[1] == 1 else own[:, rows] for own in self.ids)
        self.memories = {layer: _reordered(memory, rows) for layer, memory in self.memories.items()}


def _reordered(memory: Memory, rows: Int[Tensor, " r"]) -> Memory:
    return {
        name: _reordered(own, rows) if isinstance(own, dict) else own if name.startswith(SHARED) else own[rows]
        for name, own in memory.items()
    }
