"""The loss as one compiled graph, forward and backward, where that saves more time than it takes.

Position ids stay outside: they are computed a block of steps at a time, and schemes may be anyone's code. (Dynamo
takes a tensor's comparison with a member of an IntEnum for the Python constant False.)
"""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from arith.config.schema import RunConfig
from arith.data.batch import Batch
from arith.model.cost import seconds, training_flops
from arith.model.transformer import Transformer
from arith.process.progress import say
from arith.training.step import LossOf, batch_loss

SHAPES = 64  # shapes of batches compiled before torch gives up; far fewer occur, as a feed rounds them

# What decides whether to compile. Estimates for one H100 in bfloat16, not measured: launching a kernel takes 5 us, a
# layer launches 70, forward and backward, arithmetic runs at 300 TFLOP/s, and compiling takes as long as on a CPU.
LAUNCH_SECONDS_A_LAYER = 70 * 5e-6
FLOPS_PER_SECOND = 3e14
COMPILE_SECONDS, COMPILE_SECONDS_A_LAYER = 15.0, 4.0
SAVED = 1 / 3  # share of an eager step's time that compilation saves
GRAPHED_FLOPS = 4e12  # FLOPs of a batch below which a GPU waits for the host to launch kernels


class Compiled:
    """A loss compiled anew for each shape of batch; eager from its first failure on, with one warning.

    Args:
        loss: the loss to compile.
        graphs: whether a batch's kernels are replayed as a CUDA graph, which saves launching them one by one.
        backend: torch.compile's backend.
        depths: how many numbers of loops there are, each compiled anew too.
    """

    def __init__(
        self, loss: LossOf = batch_loss, *, graphs: bool = False, backend: str = "inductor", depths: int = 1
    ) -> None:
        limits = torch._dynamo.config
        limits.recompile_limit = max(limits.recompile_limit, SHAPES * depths)
        limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, limits.recompile_limit)
        self.loss, self.graphs = loss, graphs
        mode = "reduce-overhead" if graphs else None
        # dynamic=False: symbolic shapes would cost speed in every step, to save compilations of a few shapes.
        self._compiled: Callable[..., Any] | None = torch.compile(
            loss, fullgraph=True, dynamic=False, backend=backend, mode=mode
        )

    def __call__(self, model: Transformer, batch: Batch) -> Float[Tensor, ""]:
        if self._compiled is not None:
            try:
                if self.graphs:
                    # The graph's outputs of the step before may be overwritten from here on.
                    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                found: Tensor = self._compiled(model, batch)
                return found
            except Exception as error:
                # Compilers and drivers raise errors of any kind. What is not their fault comes again in the eager loss.
                if not self.gives_up(error):
                    raise
        return self.loss(model, batch)

    def gives_up(self, error: Exception) -> bool:
        """Switch to the eager loss for good; False if it is in use already, or memory ran out, which it cannot mend."""
        if self._compiled is None or isinstance(error, torch.OutOfMemoryError):
            return False
        say(f"training continues without compilation, which failed: {_first_line(error)}")
        self._compiled = None
        return True


def loss_for(model: Transformer, config: RunConfig, tokens: int, device: torch.device) -> Compiled | None:
    """The compiled loss if `training.compile` wants one; None: it does not, or a warning says why it cannot be had.

    Args:
        model: the model to train; some kinds are never compiled.
        config: the run.
        tokens: length of the longest training sequence.
        device: the device of the training.
    """
    wanted = config.training.compile
    if wanted == "off" or (wanted == "auto" and not (device.type == "cuda" and pays(config, tokens))):
        return None
    why_not = model.eager_because or missing(device)
    if why_not is not None:
        say(f"training runs without compilation: {why_not}")
        return None
    # A graph writes gradients where its last replay left them, so that those of several batches would not add up.
    alone = config.training.microbatches == 1
    graphs = device.type == "cuda" and alone and _batch_flops(config, tokens) < GRAPHED_FLOPS
    return Compiled(graphs=graphs, depths=_depths(config))


def pays(config: RunConfig, tokens: int) -> bool:
    """Whether compiled steps save a GPU more time than compiling takes, by a rough estimate.

    >>> pays(RunConfig.of({"model": {"preset": "nano"}}), tokens=17)
    False
    >>> pays(RunConfig.of({"model": {"preset": "gpt2-small"}, "training": {"steps": 20_000}}), tokens=65)
    True
    """
    model, training = config.model, config.training
    # A step takes the longer of its arithmetic and its launches: the GPU computes while the host launches.
    launches = model.depth * LAUNCH_SECONDS_A_LAYER
    step = training.microbatches * seconds(_batch_flops(config, tokens), FLOPS_PER_SECOND, at_least=launches)
    saved = SAVED * training.steps * step
    return saved > _depths(config) * (COMPILE_SECONDS + COMPILE_SECONDS_A_LAYER * model.depth)


def _depths(config: RunConfig) -> int:
    """How many numbers of loops steps draw from, each a graph of its own."""
    fewest, most = config.model.loop_range
    return most - fewest + 1


def _batch_flops(config: RunConfig, tokens: int) -> int:
    """FLOPs of one of the batches that a step is computed from, forward and backward."""
    training = config.training
    # No vocabulary: for digits the head is next to nothing, and a rough estimate need not build the data to know it.
    return training_flops(config.model, 0, training.batch // training.microbatches, tokens)


def missing(device: torch.device) -> str | None:
    """What compilation for a device needs and this machine lacks; None: nothing."""
    gpu = device.type == "cuda"
    if gpu and find_spec("triton") is None:
        return "triton is not installed. pip install triton"
    # Triton compiles its launchers in C, Inductor a CPU's kernels in C++.
    names = (os.environ.get("CC"), "cc", "gcc", "clang") if gpu else (os.environ.get("CXX"), "c++", "g++", "clang++")
    if not any(name and shutil.which(name) for name in names):
        return f"there is no {'C' if gpu else 'C++'} compiler. Install gcc, or set training.compile=off"
    return None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
