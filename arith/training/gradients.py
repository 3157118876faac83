"""Norms of the gradient by part of the model, as the metrics keep them."""

import math
import statistics

import torch
from jaxtyping import Float
from torch import Tensor, nn

from arith.model.transformer import Transformer


class GradientNorms:
    """The norm of each trained part's gradient, on the device until it is read.

    Args:
        model: the model in training.

    >>> from arith.catalogue.build import encoding
    >>> from arith.config.schema import ModelConfig
    >>> model = Transformer(ModelConfig(), 17, encoding("nope", width=64, heads=4, layers=1))
    >>> for parameter in model.parameters():
    ...     parameter.grad = torch.ones_like(parameter)
    >>> norms = GradientNorms(model)
    >>> norms.measure()
    >>> row = norms.row()
    >>> round(row["gradient_norms"]["head"] ** 2), round(row["gradient_ratio"], 3)  # (17 + 1) * 64, and 1
    (1152, 1.0)
    """

    def __init__(self, model: Transformer) -> None:
        parts = {part: [p for p in own if p.requires_grad] for part, own in model.parameters_by_part().items()}
        self._parts = {part: own for part, own in parts.items() if own}
        self._norms: dict[str, Float[Tensor, ""]] = {}

    def measure(self) -> None:
        """Take the norms of the gradients as they are now."""
        gradients = {part: [p.grad for p in own if p.grad is not None] for part, own in self._parts.items()}
        self._norms = {part: nn.utils.get_total_norm(own) for part, own in gradients.items() if own}

    def row(self) -> dict[str, object]:
        """What metrics.jsonl keeps: the norms, and a ratio if the embedding and a block are trained.

        The ratio is of the embedding to the median block, each norm divided by the root of its number of parameters:
        how far a typical entry of one moves under SGD beside a typical entry of the other (Kumar et al., 2211.09359).
        """
        parts, together = list(self._norms), torch.stack(list(self._norms.values()))
        norms = dict(zip(parts, together.tolist(), strict=True))  # one wait for the device
        each = {part: norms[part] / math.sqrt(sum(p.numel() for p in self._parts[part])) for part in parts}
        blocks = [value for part, value in each.items() if part.startswith("blocks.")]
        found: dict[str, object] = {"gradient_norms": norms}
        # Blocks that have not moved yet leave nothing to compare with, and JSON has no infinity.
        if "embedding" in each and blocks and statistics.median(blocks) > 0:
            found["gradient_ratio"] = each["embedding"] / statistics.median(blocks)
        return found
