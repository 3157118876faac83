"""Tokens and position ids in, logits out: the transformer and its kinds, decoding, and what they cost.

May import `config`, `data`, and the three folders.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.model.transformer import Transformer

__getattr__ = lazy_exports(__name__, {"Transformer": "transformer"})

__all__ = ["Transformer"]
