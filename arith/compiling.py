"""The loss as one compiled graph, forward and backward, where that saves more time than it takes."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from arith.data import Batch
from arith.model import Transformer
from arith.step import LossOf, answer_loss

SHAPES = 64  # widths of batches times lengths of their shortest prompts; far fewer occur

# Estimates, not measured on a GPU: what launching a kernel costs, how many a layer has, there and back, and what
# compiling a layer costs on top of a model without layers, cold.
LAUNCH_SECONDS, LAUNCHES_A_LAYER = 5e-6, 70
COMPILE_SECONDS, COMPILE_SECONDS_A_LAYER = 20.0, 4.0
FLOPS_PER_SECOND = 3e14  # eager, of one H100 in bfloat16
SAVED = 1 / 3  # of an eager step
GRAPHED_FLOPS = 2e12  # of a step, below which launches take longer than the arithmetic they launch


def compiled(loss: LossOf = answer_loss, *, graphs: bool = False, backend: str = "inductor") -> LossOf:
    """The same function of model and batch, compiled for each shape of batch that comes.

    Args:
        graphs: replay a step's kernels as a CUDA graph, which spares small ones the time to launch them one by one.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)
    made: Callable[..., Any] = torch.compile(
        loss, fullgraph=True, dynamic=False, backend=backend, mode="reduce-overhead" if graphs else None
    )
    if not graphs:
        return made

    def replayed(model: Transformer, batch: Batch) -> Float[Tensor, ""]:
        torch.compiler.cudagraph_mark_step_begin()
        found: Tensor = made(model, batch)
        return found

    return replayed
