"""Running out of memory, said in words that help."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from arith.config import TrainingConfig
from arith.errors import RunError


@contextmanager
def enough_memory(config: TrainingConfig, tokens: int) -> Iterator[None]:
    """Within, a failed allocation names the settings that need less.

    Args:
        tokens: of the longest sequence.
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
