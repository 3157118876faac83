"""One file a figure, drawn from results alone; `report` draws all that a results file asks for.

May import `process`, `results`.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.figures.accuracy import draw_accuracy
    from arith.figures.grid import draw_grids

__getattr__ = lazy_exports(__name__, {"draw_accuracy": "accuracy", "draw_grids": "grid"})

__all__ = ["draw_accuracy", "draw_grids"]
