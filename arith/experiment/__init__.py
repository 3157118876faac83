"""A configuration brought to life, and the folder it lives in: run.json, checkpoints, metrics.

May import `model`, `data`, `config`, `catalogue`, `results`, `process`, and the three folders.
"""

from typing import TYPE_CHECKING

from arith.lazy import lazy_exports

if TYPE_CHECKING:
    from arith.experiment.experiment import Experiment
    from arith.experiment.run import Run

__getattr__ = lazy_exports(__name__, {"Experiment": "experiment", "Run": "run"})

__all__ = ["Experiment", "Run"]
