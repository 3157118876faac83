"""Results and their uncertainty: the schema of results.json, intervals, curves, tables. No torch.

May import `process`, `tasks`.
"""

from arith.results.measurement import Language, Measurement
from arith.results.schema import GRID, Anatomy, Cell, Condition, Results
from arith.results.uncertainty import wilson

__all__ = ["GRID", "Anatomy", "Cell", "Condition", "Language", "Measurement", "Results", "wilson"]
