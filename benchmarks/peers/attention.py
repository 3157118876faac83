"""Ours and what it is compared with: each makes a function that computes the output from q, k, v and a table."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from arith.kernels import reference
from arith.kernels.attention import attention
from arith.kernels.terms import DistanceTable, Ids

Run = Callable[[], Tensor]


@dataclass(frozen=True)
class Peer:
    """One way to compute causal attention.

    Args:
        make: from q, k, v and the table, if it is biased.
        biased: scores by distance are added.
        learns: with a gradient of the table.
        slow_to_compile: a shape takes many seconds before it is timed.
    """

    name: str
    make: Callable[[list[Tensor], Tensor | None], Run]
    biased: bool
    learns: bool
    slow_to_compile: bool = False


def ours(inputs: list[Tensor], table: Tensor | None) -> Run:
    terms = () if table is None else (DistanceTable(table),)
    return lambda: attention(*inputs, terms=terms)


def ours_frozen(inputs: list[Tensor], table: Tensor | None) -> Run:
    assert table is not None
    return ours(inputs, table.detach())


def ours_by_ids(inputs: list[Tensor], table: Tensor | None) -> Run:
    """The same distances, but as ids of each sample, as coupled or randomised positions give them."""
    assert table is not None
    b, n = inputs[0].shape[0], inputs[0].shape[2]
    ids = torch.arange(1, n + 1, device=table.device).repeat(b, 1)
    return lambda: attention(*inputs, terms=(DistanceTable(table, Ids(ids, ids)),))


def sdpa(backend: SDPBackend) -> Callable[[list[Tensor], Tensor | None], Run]:
    """Torch's attention by one of its backends: which it takes by itself changes with its version."""

    def make(inputs: list[Tensor], table: Tensor | None) -> Run:
        def run() -> Tensor:
            with sdpa_kernel(backend):
                return functional.scaled_dot_product_attention(*inputs, is_causal=True)

        return run

    return make


def sdpa_dense(inputs: list[Tensor], table: Tensor | None) -> Run:
    """The bias as a dense learnable mask in the inputs' type, as models with T5 bias use SDPA."""
    assert table is not None
    n = inputs[0].shape[2]
    more = n - table.shape[1] // 2  # distances beyond the table on either side, with the score of its end
    hidden = torch.ones(n, n, dtype=torch.bool, device=table.device).triu(1)

    def run() -> Tensor:
        # Rows are stretches of the scores by distance, each a step before the last. Looked up, the gradient would cost
        # far more than attention: torch sorts all pairs for it, or has them wait for each other.
        scores = torch.cat([table[:, :1].expand(-1, more), table[:, :-1], table[:, -2:-1].expand(-1, more)], dim=1)
        bias = scores.unfold(1, n, 1).to(inputs[0].dtype).flip(1).masked_fill(hidden, -math.inf)
        return functional.scaled_dot_product_attention(*inputs, attn_mask=bias[None])

    return run


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled afresh: peers share functions, and past a limit of graphs torch would quietly run them uncompiled."""
    torch.compiler.reset()
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    # With buffers that it may overwrite, a backward pass cannot run twice, as it must to be timed alone.
    torch._functorch.config.donated_buffer = False
    return torch.compile(function, dynamic=False)


def math_attention(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    scale = 1 / math.sqrt(q.shape[3])
    return reference.attention(q, k, v, (DistanceTable(table),), True, None, None, scale)


def compiled_math(inputs: list[Tensor], table: Tensor | None) -> Run:
    run = compiled(math_attention)
    return lambda: run(*inputs, table)


def flex(inputs: list[Tensor], table: Tensor | None) -> Run:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    n = inputs[0].shape[2]
    mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, n, n, device=inputs[0].device)
    middle = 0 if table is None else table.shape[1] // 2 - 1

    def biased(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        assert table is not None
        distance = k - q if middle >= n - 1 else torch.clamp(k - q, -middle, middle)
        return score + table[h, distance + middle]

    score_mod = None if table is None else biased
    run = compiled(flex_attention)
    return lambda: run(*inputs, score_mod=score_mod, block_mask=mask)


def flex_frozen(inputs: list[Tensor], table: Tensor | None) -> Run:
    assert table is not None
    return flex(inputs, table.detach())


def flash(inputs: list[Tensor], table: Tensor | None) -> Run:
    from flash_attn import flash_attn_func

    q, k, v = (x.transpose(1, 2) for x in inputs)
    return lambda: flash_attn_func(q, k, v, causal=True).transpose(1, 2)


PEERS = (
    Peer("arith, learnable", ours, biased=True, learns=True),
    Peer("arith, frozen", ours_frozen, biased=True, learns=False),
    Peer("arith, no bias", ours, biased=False, learns=False),
    Peer("arith by ids, learnable", ours_by_ids, biased=True, learns=True),
    Peer("SDPA with cuDNN, no bias", sdpa(SDPBackend.CUDNN_ATTENTION), biased=False, learns=False),
    Peer("SDPA with its flash kernel, no bias", sdpa(SDPBackend.FLASH_ATTENTION), biased=False, learns=False),
    Peer("SDPA, dense learnable bias", sdpa_dense, biased=True, learns=True),
    Peer("compiled math, learnable", compiled_math, biased=True, learns=True, slow_to_compile=True),
    Peer("FlexAttention, learnable", flex, biased=True, learns=True, slow_to_compile=True),
    Peer("FlexAttention, frozen", flex_frozen, biased=True, learns=False, slow_to_compile=True),
    Peer("FlexAttention, no bias", flex, biased=False, learns=False, slow_to_compile=True),
    Peer("flash-attn, no bias", flash, biased=False, learns=False),
)
# All scores by ids, and compiled math with all scores in memory, say nothing about long sequences.
LONG_PEERS = tuple(peer for peer in PEERS if peer.make not in (ours_by_ids, compiled_math))
