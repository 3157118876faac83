"""The four places where an encoding can act on a transformer; each does nothing by default."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from arith.kernels.terms import Ids, Term


@dataclass(frozen=True)
class Positions:
    """Position ids of the queries' tokens and of the keys', counted from 1; 0 means "no position". `b` may be 1.

    Args:
        indexes_tokens: whether ids of the first level index tokens; see `Ids`.
        within_reach: whether no id is larger than its encoding can encode, as `Composed.place` makes sure. Of other
            positions `Composed` refuses those of more tokens than it is built for.

    Attributes:
        ids: ids of the first level; always the same tensors, by which kernels recognise terms that share their ids.

    Raises:
        ValueError: ids have no levels, or are no whole numbers.
    """

    q: Int[Tensor, "levels b q"]
    k: Int[Tensor, "levels b k"]
    indexes_tokens: bool = False
    within_reach: bool = False

    ids: Ids = field(init=False)

    def __post_init__(self) -> None:
        for ids in (self.q, self.k):
            if ids.dim() != 3:
                hint = ". Of one level, write ids[None]" if ids.dim() == 2 else ""
                raise ValueError(f"ids are of levels x batch x tokens: got {tuple(ids.shape)}{hint}")
            if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
                raise ValueError(f"ids are whole numbers, from 1 on and 0 for no position: got {ids.dtype}")
        # Made once, although the class is frozen: kernels compare ids as tensors, not by their values.
        object.__setattr__(self, "ids", self.level(0))

    def level(self, level: int) -> Ids:
        return Ids(self.q[level], self.k[level], self.indexes_tokens and level == 0)

    def last(self, queries: int, keys: int | None = None) -> "Positions":
        """The last tokens alone as queries, and as keys the last ones too; all of them if None."""
        # Not `-queries`, which would keep all tokens if none asked.
        k = self.k if keys is None else self.k[:, :, self.k.shape[2] - keys :]
        return Positions(self.q[:, :, self.q.shape[2] - queries :], k, self.indexes_tokens, self.within_reach)

    def slide(self, loop: int | Int[Tensor, "#b 1"]) -> "Positions":
        """In a loop counted from 0, of each sample: the second level is what every loop adds to the first."""
        q, k = ((ids[0] + loop * ids[1])[None] for ids in (self.q, self.k))
        return Positions(q, k, within_reach=self.within_reach)


# What one layer's content-dependent terms keep while decoding: a dict that begins empty and is kept next to the layer's
# keys and values. It holds tensors with a row a sample; under names that begin so, what all samples share; or memories.
Memory = dict[str, Any]
SHARED = "shared "


def change_rows(memory: Memory, change: Callable[[Tensor], Tensor]) -> Memory:
    """A memory whose samples are changed as those of a cache are: reordered by beams, repeated or dropped.

    Args:
        memory: what one layer keeps.
        change: from a tensor with a row for each sample to one with the new rows.

    >>> import torch
    >>> change_rows({"0": {"cumulative": torch.tensor([[1], [2]])}}, lambda x: x[[1, 1, 0]])
    {'0': {'cumulative': tensor([[2],
            [2],
            [1]])}}
    """
    changed: Memory = {}
    for name, part in memory.items():
        if isinstance(part, dict):
            changed[name] = change_rows(part, change)
        else:
            changed[name] = part if name.startswith(SHARED) else change(part)
    return changed


class LayerEncoding(nn.Module):
    """What an encoding does inside one layer."""

    def hidden(self, x: Float[Tensor, "b n w"], positions: Positions) -> Float[Tensor, "b n w"]:
        """At the layer's input."""
        return x

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        """Queries and keys before their product.

        Args:
            q: queries of the last of the new tokens, as `positions.q`.
            k: keys that are not rotated yet, as `positions.k`: of the new tokens alone where a cache holds rotated
                ones, so that `positions` here is not that of `terms`.

        They may come out wider than a head is: their product is then divided by the root of that width.
        """
        return q, k

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Positions,
        memory: Memory,
    ) -> tuple[Term, ...]:
        """What is added to the scores.

        Args:
            x: the layer's normalised input at the new tokens.
            q: queries of the last of the new tokens.
            k: keys of every token so far, as `positions.k`.
            positions: ids of the queries' tokens and of every token so far.
            memory: what this layer keeps while decoding, next to its keys and values: the same dict in every pass over
                a sequence, empty before the first, and one for each layer. Without a cache `{}`.
        """
        return ()

    def taken(self, positions: Positions) -> Int[Tensor, "#b q"] | None:
        """The token, among all so far, that each query takes in a first layer that looks up; -1 where there is none.

        None: this encoding does not decide it.
        """
        return None


class TableEncoding(LayerEncoding, ABC):
    """One term, decided by the ids alone: a table of scores or keys by distance, a window, a function of distance.

    An encoding that all layers share is this and an `Encoding`; one layer of a `PerLayer` is this alone.
    """

    @abstractmethod
    def term(self, ids: Ids) -> Term:
        """The table, looked up by these ids."""

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Positions,
        memory: Memory,
    ) -> tuple[Term, ...]:
        # `positions.ids` are the same tensors for all parts and layers: kernels tell by that whose ids are equal.
        return (self.term(positions.ids),)


class Encoding(LayerEncoding):
    """A positional encoding, whose layers share their parameters unless `at` says otherwise.

    Attributes:
        reach: largest position id that it can encode; None: no limit.
        relative: whether differences of ids alone matter: a shift of all ids but 0 changes nothing.
        by_distance: whether differences of ids matter among other things.
        levels: how many levels of ids it uses, from the first on.
        takes_ids: whether it uses ids; if not, it cannot be put on a scheme.
        turns_queries: whether it rotates queries and keys by their positions.
        turns_alone: whether scores depend on distances only if no other encoding rotates them too.
        reads_queries: whether its terms multiply queries with vectors of their own.
        counts_tokens: whether its terms count the tokens between a query and a key.
        hides_keys: whether it masks some keys.
        causal: whether it takes for granted that no token attends to those after it.
        looks_up: whether the first layer does not attend: each token takes one other, which this encoding chooses.
        in_layers: the layers that it acts in, from 0 on; None: all.
    """

    reach: int | None = None
    relative: bool = False
    by_distance: bool = False
    levels: int = 1
    takes_ids: bool = True
    turns_queries: bool = False
    turns_alone: bool = False
    reads_queries: bool = False
    counts_tokens: bool = False
    hides_keys: bool = False
    causal: bool = False
    looks_up: bool = False
    in_layers: tuple[int, ...] | None = None

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return type(self).__name__

    def embed(self, x: Float[Tensor, "b n w"], positions: Positions) -> Float[Tensor, "b n w"]:
        """Once, at the input."""
        return x

    def at(self, layer: int, loop: int = 0) -> LayerEncoding:
        """The encoding inside one layer of one loop."""
        return self


class PerLayer(Encoding):
    """A positional encoding whose layers have parameters of their own; loops share them.

    Args:
        layers: what it does inside each.
    """

    def __init__(self, layers: Iterable[LayerEncoding]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def at(self, layer: int, loop: int = 0) -> LayerEncoding:
        found = self.layers[layer]
        assert isinstance(found, LayerEncoding)
        return found
