"""Bytes that a model needs and moves in training, estimated from its shapes."""

from arith.config import ModelConfig

STATE_BYTES = 16  # a parameter: weight, gradient and two moments, in float32 in every precision
UPDATE_BYTES = 32  # a parameter and step: AdamW reads those four and writes three; backward has written the gradient
# Of a kept number on average: autocast leaves norms and residuals in float32, what is multiplied is in bfloat16.
KEPT_BYTES = {"float32": 4, "tf32": 4, "bfloat16": 3}
USES = 3  # of what is kept for the backward pass: written and read forward, read backward


def activation_bytes(model: ModelConfig, precision: str, rows: int, tokens: int) -> int:
    """What a forward pass keeps for the backward pass.

    Of each token and layer about 10 vectors of the model's width, the MLP's inner vectors, and three times its
    attention scores, one for each head and token: a rough guide, which fused attention goes below.
    """
    inner = model.matrices * model.hidden
    each = 10 * model.width + inner + 3 * model.heads * tokens
    return KEPT_BYTES[precision] * rows * tokens * model.depth * each


def moved_bytes(model: ModelConfig, precision: str, parameters: int, rows: int, tokens: int) -> int:
    """What a training step moves between memory and processor if nothing but products is fused: a rough guide."""
    return USES * activation_bytes(model, precision, rows, tokens) + UPDATE_BYTES * parameters


def training_bytes(model: ModelConfig, precision: str, parameters: int, rows: int, tokens: int) -> int:
    """What training needs at most: the state of every parameter, and what a forward pass keeps."""
    return STATE_BYTES * parameters + activation_bytes(model, precision, rows, tokens)
