"""Bytes that a training step needs and moves, counted from the shapes; a rough guide to either."""

from arith.config.schema import ModelConfig, TrainingConfig
from arith.model.cost import activation_bytes, parameter_bytes

# Per parameter and step: AdamW reads its four numbers and writes three of them; backward wrote the gradient.
UPDATE_BYTES = 32
USES = 3  # times an activation is moved: written and read in the forward pass, read in the backward pass


def moved_bytes(model: ModelConfig, precision: str, parameters: int, rows: int, tokens: int) -> int:
    """What a training step moves between memory and processor if nothing is fused."""
    return USES * activation_bytes(model, precision, rows, tokens) + UPDATE_BYTES * parameters


def training_bytes(model: ModelConfig, precision: str, parameters: int, rows: int, tokens: int) -> int:
    """What training needs at most: the state of every parameter, and what a forward pass keeps."""
    return parameter_bytes(TrainingConfig()) * parameters + activation_bytes(model, precision, rows, tokens)
