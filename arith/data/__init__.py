"""Turns problems into model inputs: samples, batches on a device, text for other tokenizers.

May import `process`, `catalogue`, `results`, `config`, and the folders `encodings`, `kernels`, `tasks`.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.data.batch import Batch
    from arith.data.dataset import Dataset
    from arith.data.tokenized import TokenizedProblems

__getattr__ = lazy_exports(__name__, {"Batch": "batch", "Dataset": "dataset", "TokenizedProblems": "tokenized"})

__all__ = ["Batch", "Dataset", "TokenizedProblems"]
