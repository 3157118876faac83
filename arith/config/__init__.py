"""The configuration of a run: frozen dataclasses, read from TOML, JSON and the command line. No torch.

May import `process`, `results`.
"""

from arith.config.schema import DataConfig, EvaluationConfig, ModelConfig, RunConfig, TrainingConfig
from arith.config.supervision import AuxiliaryConfig, TraceConfig

__all__ = [
    "AuxiliaryConfig",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "RunConfig",
    "TraceConfig",
    "TrainingConfig",
]
