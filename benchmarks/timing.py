"""What attention takes on a GPU: milliseconds forward and backward, and memory."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from triton.testing import do_bench_cudagraph

Timer = Callable[[Callable[[], Any]], float]  # milliseconds


def gradients(out: Tensor, inputs: Sequence[Tensor], dout: Tensor, keep: bool = False) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out, inputs, dout, retain_graph=keep)


def timed(
    run: Callable[[], Tensor], wanted: Sequence[Tensor], dout: Tensor, timer: Timer, graph: bool
) -> dict[str, Any]:
    """Milliseconds, forward, backward and both; and the most memory beyond the inputs.

    Args:
        wanted: what has a gradient.
        graph: forward and both once more as replayed CUDA graphs, free of what the host takes to launch.
    """

    def both() -> None:
        gradients(run(), wanted, dout)

    def forward() -> None:
        with torch.no_grad():
            run()

    found: dict[str, Any] = {"forward_ms": timer(forward), "both_ms": timer(both)}
    if dout.is_cuda and graph:
        found |= {"graph_forward_ms": graphed(forward), "graph_both_ms": graphed(both)}
    out = run()
    found["backward_ms"] = timer(lambda: gradients(out, wanted, dout, keep=True))
    if dout.is_cuda:
        torch.cuda.synchronize()
        del out
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        both()
        found["peak_bytes"] = torch.cuda.max_memory_allocated() - before
    return found


def graphed(run: Callable[[], Any]) -> float | None:
    """Milliseconds of a replayed CUDA graph; None where none can be made."""
    try:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            return float(do_bench_cudagraph(run, rep=40, return_mode="median"))
    except Exception:  # a peer that synchronises cannot be captured
        torch.cuda.synchronize()
        return None
