"""An encoding written out as one file of plain torch.

May import `process`, `catalogue`, and the three folders.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.eject.file import ejected

__getattr__ = lazy_exports(__name__, {"ejected": "file"})

__all__ = ["ejected"]
