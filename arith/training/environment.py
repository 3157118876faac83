"""Device and precision of a training; keep the allocator and the garbage collector out of the training loop's way."""

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from arith.config.schema import TrainingConfig
from arith.errors import RunError, UsageError

# Parameters of mallopt in glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Let the C library keep freed memory, up to 1 GiB, instead of returning it to the system.

    On a CPU every step frees what the next one needs, and the system clears each page again: a tenth of a small model's
    step. Where the C library is not glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(MMAP_THRESHOLD, 2**25)  # larger blocks always go back to the system; glibc accepts no higher value
    mallopt(TRIM_THRESHOLD, 2**30)
    mallopt(TOP_PAD, 2**26)


@contextmanager
def frozen_gc() -> Iterator[None]:
    """Within, the garbage collector ignores the objects that were there before, such as all of torch.

    Where the process has frozen them itself, nothing changes: unfreezing would undo its work.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.collect()  # garbage that is frozen would stay
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def find_device(name: str) -> torch.device:
    """Find a device by name; `auto` is the first CUDA device, or the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device is called '{name}'. Use auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device '{name}' is not supported. Use auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device '{name}' is not there: torch {torch.__version__} finds no CUDA GPU. Use --device cpu")
    return device


@contextmanager
def matmul_precision(config: TrainingConfig) -> Iterator[None]:
    """Within, a GPU multiplies 32-bit matrices as `training.precision` says: in full precision, or in tf32."""
    if config.precision != "tf32":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")  # on a GPU, tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Within, operations whose result depends on the order of additions are replaced by slower ones, or refused.

    On a CPU a run is the same bits again without it, given the same number of threads.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    # cuBLAS reads it when it is first used; without it, it refuses to run in this mode.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextmanager
def explain_out_of_memory(config: TrainingConfig, tokens: int) -> Iterator[None]:
    """Within, a failed allocation becomes a RunError that names the settings to lower.

    Args:
        config: the run's settings.
        tokens: length of the longest sequence.
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        # On a CPU torch has no exception of its own for it.
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(error):
            raise
        raise RunError(
            f"out of memory with {config.batch} samples a step of up to {tokens} tokens in {config.precision}. "
            "Lower --batch or the longest --digits, raise training.microbatches, take a smaller --model or --precision "
            "bfloat16 on a GPU; "
            "--dry-run tells what a run needs"
        ) from error
