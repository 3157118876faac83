"""Muon: the matrices of linear maps move by their momentum made orthogonal, everything else by AdamW.

    m = beta m + (1 - beta) g            u = (1 - beta) g + beta m                             Nesterov's look ahead
    W = W - rate sqrt(max(1, rows / columns)) U V'            of the singular value decomposition u = U S V'

All directions of a matrix move alike, those that the loss rarely asks for too. U V' comes from five steps of an odd
polynomial that takes singular values to between 0.7 and 1.2 (Jordan et al., "Muon", 2024; Newton and Schulz's method).

torch.optim.Muon is the same for one matrix after the other. Here those of one shape go together; AdamW's state and its
way of leaving out an update whose loss is no number, without waiting for the device, are kept.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

MOMENTUM = 0.95
# Of x, x^3 and x^5: the steepest at zero of those that end between 0.7 and 1.2 (Jordan et al.).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(torch.optim.AdamW):
    """Muon for the groups of parameters that say `orthogonal`, which are matrices, and AdamW for the others.

    `lr` of a group is its learning rate, decay included: `lr * weight_decay` of a weight.
    """

    found_inf: Tensor  # 1: the update is left out; see `arith.step`

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure: compute the gradient before its step")
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["orthogonal"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        for group in groups:
            if group["orthogonal"]:
                self._orthogonal_step(group)

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        alike = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is not None:
                alike[weight.shape].append(weight)
        for (rows, columns), weights in alike.items():
            for weight in weights:
                if not self.state[weight]:  # AdamW looks for a number of steps in all that it restores
                    steps = torch.zeros((), device=weight.device)
                    self.state[weight] = {"step": steps, "momentum": torch.zeros_like(weight)}
            gradient = torch.stack([weight.grad for weight in weights])
            before = torch.stack([self.state[weight]["momentum"] for weight in weights])
            if (left_out := getattr(self, "found_inf", None)) is None:
                kept = torch.ones((), device=gradient.device)
            else:
                kept = 1 - left_out
                gradient = torch.where(left_out > 0, before, gradient)  # of any number: a momentum of itself stays
            momentum = before.lerp(gradient, 1 - MOMENTUM)
            update = orthogonal(gradient.lerp(momentum, MOMENTUM)) * max(1, rows / columns) ** 0.5
            rate = group["lr"] * kept
            for weight, own_update, own_momentum in zip(weights, update, momentum, strict=True):
                weight.mul_(1 - rate * group["weight_decay"]).sub_(rate * own_update)
                self.state[weight]["momentum"].copy_(own_momentum)
                self.state[weight]["step"] += kept


def orthogonal(matrices: Float[Tensor, "m rows columns"]) -> Float[Tensor, "m rows columns"]:
    """Each matrix with its singular values brought to about 1; in bfloat16 on a GPU, as nothing needs more.

    >>> import torch
    >>> found = torch.linalg.svdvals(orthogonal(torch.randn(3, 8, 4)))
    >>> bool(((found > 0.6) & (found < 1.3)).all())
    True
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)  # no singular value is above 1
    for _ in range(STEPS):
        squared = x @ x.mT
        x = a * x + torch.baddbmm(b * squared, squared, squared, alpha=c) @ x
    found: Tensor = (x if wide else x.mT).to(matrices.dtype)
    return found
