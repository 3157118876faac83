"""What tables that queries ask cost on a GPU, in layers of Inkling's public configuration.

Its 64 query heads of 128 share 8 key heads in global layers, with 1,024 distances, and 16 behind a window of 512, with
as many (`InklingConfig` of transformers); each query asks by 16 numbers. Gates: forward and backward, with the
gradients of what asks and of what is asked, 0.9 times as fast as attention without a bias, by cuDNN in global layers
and by our kernels behind the same window in the others; forward at 8,192 tokens under 3.3 ms and 0.86 ms on an H100,
of which public kernels, all forward alone, are known to take 3.3 and 0.86.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from kernel_checks.gates import compare, gate
from timing import Timer, gradients, timed
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from arith.kernels.attention import attention
from arith.kernels.routing import Backend
from arith.kernels.terms import QueryTable, Term, Window

OURS, WITHOUT, CUDNN = "arith, query table", "arith, no query table", "SDPA with cuDNN, no query table"
FLEX, PLAIN = "FlexAttention, scores by query and slot in memory", "plain torch, query table"
BAR, FORWARD_MS = 0.9, {"global": 3.3, "sliding": 0.86}
LONGEST_PLAIN = 2048  # tokens whose scores of all pairs fit in memory, with gradients


@dataclass(frozen=True)
class Layer:
    """One layer, in bfloat16 and causal, of one sample.

    Args:
        extent: distances that are asked.
        window: how many tokens a query sees, itself included; None: all before it.
    """

    name: str
    n: int
    key_heads: int
    extent: int
    window: int | None = None
    heads: int = 64
    width: int = 128
    states: int = 16


# The first two are what the gates of the forward pass are about.
LAYERS = tuple(
    layer
    for n in (8192, 2048, 4096)
    for layer in (Layer("global", n, 8, 1024), Layer("sliding", n, 16, 512, window=512))
)


def tensors(layer: Layer, device: torch.device) -> tuple[list[Tensor], Tensor]:
    """q, k, v, states and values, which are to have gradients; the output's gradient."""
    generator = torch.Generator(device).manual_seed(0)
    heads = (layer.heads, layer.key_heads, layer.key_heads, layer.heads)
    widths = (layer.width, layer.width, layer.width, layer.states)
    q, k, v, states, dout = (
        torch.randn(1, layer.n, h, d, generator=generator, device=device, dtype=torch.bfloat16).transpose(1, 2)
        for h, d in (*zip(heads, widths, strict=True), (layer.heads, layer.width))
    )
    values = torch.randn(1, layer.extent, layer.states, generator=generator, device=device) / math.sqrt(layer.states)
    return [x.requires_grad_() for x in (q, k, v, states, values)], dout


def ours(inputs: list[Tensor], layer: Layer, asked: bool = True, backend: Backend = "auto") -> Tensor:
    q, k, v, states, values = inputs
    table = QueryTable(states, values, 1 - layer.extent)
    terms: tuple[Term, ...] = (table,) if asked else ()
    terms += () if layer.window is None else (Window(layer.window - 1, 0),)
    return attention(q, k, v, terms=terms, backend=backend)


def cudnn(inputs: list[Tensor], layer: Layer) -> Tensor:
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return functional.scaled_dot_product_attention(*inputs[:3], is_causal=True, enable_gqa=True)


@functools.lru_cache(maxsize=1)
def _flex(layer: Layer, device: torch.device) -> tuple[Any, Any]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def seen(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        near = q >= k
        return near if layer.window is None else near & (q - k < layer.window)

    torch.compiler.reset()
    torch._functorch.config.donated_buffer = False  # with buffers that it may overwrite, it cannot run twice
    mask = create_block_mask(seen, None, None, layer.n, layer.n, device=device)
    return torch.compile(flex_attention, dynamic=False), mask


def flex(inputs: list[Tensor], layer: Layer) -> Tensor:
    q, k, v, states, values = inputs
    run, mask = _flex(layer, q.device)
    logits = states @ values.to(states.dtype).transpose(1, 2)

    def asked(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        slot = j - i + layer.extent - 1
        return score + torch.where(slot >= 0, logits[b, h, i, torch.clamp(slot, 0, layer.extent - 1)], 0)

    out: Tensor = run(q, k, v, score_mod=asked, block_mask=mask, enable_gqa=True)
    return out


# By name: what runs, and how many of q, k, v, states and values have gradients.
PEERS: dict[str, tuple[Callable[[list[Tensor], Layer], Tensor], int]] = {
    OURS: (ours, 5),
    WITHOUT: (functools.partial(ours, asked=False), 3),
    CUDNN: (cudnn, 3),
    PLAIN: (functools.partial(ours, backend="reference"), 5),
    FLEX: (flex, 5),
}


def skips(name: str, layer: Layer) -> bool:
    """Whether a peer cannot run a layer: cuDNN's has no windows, and plain torch has all scores in memory.

    FlexAttention, which compiles for long, runs at one length.
    """
    if name == CUDNN:
        return layer.window is not None
    return layer.n > LONGEST_PLAIN if name == PLAIN else name == FLEX and layer.n < LAYERS[0].n


def is_right(layer: Layer, device: torch.device) -> bool:
    """Ours against float64 in plain torch, for the query heads of the first key head; all but the values' gradient."""
    inputs, dout = tensors(layer, device)
    group = layer.heads // layer.key_heads
    parts = zip(inputs[:4], (group, 1, 1, group), strict=True)
    exact = [x[:, :heads].detach().double().requires_grad_() for x, heads in parts]
    wide = inputs[4].detach().double()
    out, truth = ours(inputs, layer), ours([*exact, wide], layer, backend="reference")
    found = [out, *gradients(out, inputs[:4], dout)]
    expected = [truth, *gradients(truth, exact, dout[:, :group].double())]
    return all(
        bool((one[:, : other.shape[1]] - other).norm() <= 0.02 * other.norm())
        for one, other in zip(found, expected, strict=True)
    )


def rows(
    layers: tuple[Layer, ...], names: tuple[str, ...], device: torch.device, timer: Timer, deadline: float
) -> Iterator[dict[str, Any]]:
    """A row for each layer and peer; one that fails says so instead of its speed, and ours if it is wrong."""
    for layer in layers:
        for name in names:
            if skips(name, layer):
                continue
            run, learned = PEERS[name]
            row: dict[str, Any] = {"peer": name, **asdict(layer)}
            if time.monotonic() > deadline:
                yield {**row, "skipped": "out of time"}
                continue
            try:
                if name == OURS and not is_right(layer, device):
                    yield {**row, "skipped": "wrong"}
                    continue
                inputs, dout = tensors(layer, device)
                made = functools.partial(run, inputs, layer)
                yield {**row, **timed(made, inputs[:learned], dout, timer, graph=name != FLEX)}
            except Exception as error:
                yield {**row, "skipped": f"{type(error).__name__}: {str(error)[:200]}"}


def gates(found: list[dict[str, Any]], layers: tuple[Layer, ...]) -> list[dict[str, Any]]:
    """Each bar of layers with a query table, with its value."""
    lines = []
    for layer in layers:
        rows = {row["peer"]: row for row in found if row.get("name") == layer.name and row["n"] == layer.n}
        own, without = (rows.get(name) for name in (OURS, CUDNN if layer.window is None else WITHOUT))
        title = f"query table, {layer.name}, n={layer.n}"
        lines.append(gate(f"{title}: times as fast as without", BAR, *compare("both", without, own)))
        if layer.n == LAYERS[0].n:
            milliseconds, by = compare("forward", own, {"forward_ms": 1.0, "graph_forward_ms": 1.0})
            lines.append(gate(f"{title}: forward, ms", FORWARD_MS[layer.name], milliseconds, by, at_most=True))
    return lines
