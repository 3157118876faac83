"""The loop and its step: batches ahead of it, loss, optimiser, compilation, several processes.

May import `evaluation`, `experiment` and the rooms below.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.training.loop import train

__getattr__ = lazy_exports(__name__, {"train": "loop"})

__all__ = ["train"]
