"""What every launch of a kernel for long sequences is given: tensors, sizes, masks, and constants at compile time."""

import functools
import math
from functools import cached_property
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from arith.kernels.configs import SIZES, capability
from arith.kernels.folding import radius_of
from arith.kernels.launching import arithmetic, options, sum_type
from arith.kernels.long_configs import EDGE, LongConfig, LongKernel, long_config
from arith.kernels.operators import dense, sizes
from arith.kernels.tiling import Masks, Visits


class Call:
    """One call of attention as kernels take it.

    Args:
        scores: a tile, a table by token distance and one by ids, states of queries, and the values that these ask.
        rows: ids of queries and keys for a table, the same for a window, key padding and documents.
        limits: how far a query sees to the left and to the right, by token index and by ids.
        first, ends: as in `QueryTable`.
        softcap: 0 if there is none.
    """

    def __init__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        scores: tuple[Tensor | None, ...],
        rows: tuple[Tensor | None, ...],
        limits: tuple[int, int, int, int],
        first: int,
        ends: bool,
        scale: float,
        softcap: float,
    ) -> None:
        self.q, self.k, self.v, self.first, self.ends = q, k, v, first, ends
        self.tile, self.table, self.id_table, states, values = scores
        self.rows, self.limits = rows, limits
        self.values = values
        self.states = None if states is None else dense(functional.pad(states, (0, self.block_e - states.shape[3])))
        self._factors = scale, softcap or None

    @property
    def block_e(self) -> int:
        """The width of states and values in kernels; the smallest where there are none."""
        return next(fits for fits in SIZES if self.values is None or self.values.shape[2] <= fits)

    @cached_property
    def given(self) -> tuple[Tensor | None, ...]:
        """What all kernels are given that may be None."""
        asked: tuple[Tensor | None, ...] = None, None, None
        if self.states is not None and self.values is not None:
            values = self.values.to(self.q.dtype)
            asked = self.states, self._edged_values(values), self._outer_scores(values) if self.ends else None
        return (self.tile, _edged(self.table, self.q), self.id_table, *self.rows, *asked)

    @cached_property
    def visits(self) -> Visits:
        """Which tiles show anything."""
        window_q, window_k, valid, documents = self.rows[2:]
        window = None if window_q is None or window_k is None else (window_q, window_k)
        left, right, id_left, id_right = self.limits
        return Visits(Masks(self.q.shape[2], self.k.shape[2], left, right, window, id_left, id_right, valid, documents))

    @property
    def numbers(self) -> tuple[Any, ...]:
        """Strides of what is asked, sizes, limits and factors."""
        values, radius = self.given[10], radius_of(self.table)
        where: tuple[int, ...] = (0, 0, 0, 0)
        slots, behind, ahead = 0, radius, radius
        if self.states is not None and self.values is not None and values is not None:
            slots = self.values.shape[1]
            where = (*self.states.stride()[:3], 0 if len(values) == 1 else values.stride(0))
            # What lies beyond has no slot: even with ends, an outermost slot's own pairs are walked as the others are.
            behind, ahead = max(radius, 1 - self.first), max(radius, self.first + slots)
        numbers = sizes(self.q, self.k, self.table, self.id_table)
        return (*where, self.q.shape[1], *numbers, *self.limits, behind, ahead, self.first, slots, *self._factors)

    def new_states(self) -> Float[Tensor, "b h q block"]:
        """Memory for the gradient of states."""
        return self.q.new_empty((*self.q.shape[:3], self.block_e))

    def cut_states(self, dstates: Float[Tensor, "b h q block"]) -> Float[Tensor, "b h q e"]:
        """The gradient of states, of the width that they had."""
        assert self.values is not None
        return dstates[..., : self.values.shape[2]].contiguous()

    def _edged_values(self, values: Float[Tensor, "#h s e"]) -> Float[Tensor, "#h s+2x block"]:
        """Values with EDGE slots more on either side, copies of the outermost or zeros."""
        values = functional.pad(values, (0, self.block_e - values.shape[2]))
        if not self.ends:
            return functional.pad(values, (0, 0, EDGE, EDGE))
        more = (-1, EDGE, -1)
        return torch.cat([values[:, :1].expand(more), values, values[:, -1:].expand(more)], dim=1)

    def _outer_scores(self, values: Float[Tensor, "#h s e"]) -> Float[Tensor, "b h 2 q"]:
        """What each query adds to all keys behind the table and to all ahead of it, as exponents of two."""
        assert self.states is not None
        outermost = torch.stack([values[:, 0], values[:, -1]], dim=1).to(sum_type(self.q)) * math.log2(math.e)
        states = self.states[..., : values.shape[2]].to(outermost.dtype)
        return rearrange(states @ outermost.transpose(1, 2), "b h q s -> b h s q").contiguous()


def _edged(table: Tensor | None, q: Tensor) -> Float[Tensor, "h 2(r+e)+1"] | None:
    """A table by token distance as the kernels read it: exponents of two, its ends repeated EDGE times."""
    if table is None:
        return None
    scores = table[:, :-1].to(sum_type(q)) * math.log2(math.e)  # without the slot of ids that are 0
    return functional.pad(scores[None], (EDGE, EDGE), mode="replicate")[0]


def launch_of(kernel: LongKernel, call: Call) -> LongConfig:
    """How a kernel is launched for a call."""
    q = call.q
    return long_config(kernel, q.shape[3], q.dtype.itemsize, capability(q.device), call.states is not None)


def constants_of(call: Call, launch: LongConfig) -> dict[str, Any]:
    """What a kernel knows at compile time."""
    return {**_constants(launch, call.q.shape[3], call.block_e), **arithmetic(call.q)}


@functools.cache
def _constants(launch: LongConfig, width: int, block_e: int) -> dict[str, Any]:
    return {
        "WIDTH": width,
        "BLOCK_Q": launch.queries,
        "BLOCK_K": launch.keys,
        "BLOCK_D": next(fits for fits in SIZES if width <= fits),
        "BLOCK_E": block_e,
        **options(launch),
    }
