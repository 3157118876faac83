"""AdamW, Muon and SGD: which parameters each group holds, and the learning rate of each step."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from arith.config.schema import TrainingConfig
from arith.model.transformer import Transformer

MOMENTUM = 0.95
# Newton-Schulz iteration of Muon (Jordan et al., 2024): coefficients of x, x^3 and x^5. Of those that bring singular
# values to between 0.7 and 1.2, these are the steepest at zero, so that small ones grow in five steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """SGD, or AdamW, with Muon for the matrices of the blocks if asked for; only the matrices of linear maps decay.

    A group's `scale` is its learning rate as a multiple of `training.learning_rate`.
    """
    # GPT-2 of transformers has linear maps that are no nn.Linear.
    linear = [
        module for module in model.modules() if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
    ]
    matrices = {id(module.weight) for module in linear}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = {"weight_decay": config.weight_decay, "scale": 1.0}
    others = {"params": [p for p in parameters if id(p) not in matrices], "weight_decay": 0.0, "scale": 1.0}
    if config.optimizer != "muon":
        groups = [{"params": [p for p in parameters if id(p) in matrices], **decay}, others]
        if config.optimizer == "sgd":
            return _build_sgd(groups, config)
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)
    assert isinstance(model, Transformer)
    inside = {id(module.weight) for module in model.blocks.modules() if isinstance(module, nn.Linear)}
    # The output head stays with AdamW: its rows are tokens, like the embedding's, and not directions to balance.
    outside = [p for p in parameters if id(p) in matrices and id(p) not in inside]
    blocks = {"params": [p for p in parameters if id(p) in inside], **decay}
    blocks |= {"scale": config.muon_rate / config.learning_rate, "orthogonal": True}
    groups = [blocks, {"params": outside, "orthogonal": False, **decay}, {"orthogonal": False, **others}]
    return Muon(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def _build_sgd(groups: list[dict[str, Any]], config: TrainingConfig) -> torch.optim.SGD:
    optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=True)
    # torch allocates these buffers in the first step without filling them. If `found_inf` skips that step, the second
    # one would add uninitialised memory.
    if config.momentum:
        for parameter in (parameter for group in groups for parameter in group["params"]):
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def set_rates(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int) -> float:
    """Set each group's learning rate for one step, counted from 0; returns the rate that groups have a multiple of."""
    rate = learning_rate(config, step)
    for group in optimizer.param_groups:
        group["lr"] = group["scale"] * rate
    return rate


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate of one step, counted from 0: linear warm-up, then half a cosine.

    >>> config = TrainingConfig(steps=100, warmup=10, learning_rate=1.0, final_rate=0.1)
    >>> [round(learning_rate(config, step), 2) for step in (0, 9, 55, 100)]
    [0.1, 1.0, 0.55, 0.1]
    """
    # The first step has a rate above 0, or it would be wasted.
    warm = min((step + 1) / config.warmup, 1.0) if config.warmup else 1.0
    done = max(step - config.warmup, 0) / max(config.steps - config.warmup, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * warm * (config.final_rate + (1 - config.final_rate) * cosine)


class Muon(torch.optim.AdamW):
    """Muon for the groups of parameters that say `orthogonal`, which are matrices, and AdamW for the others.

    Weight decay is decoupled, as in AdamW: a step takes `lr * weight_decay` of a weight.
    """

    found_inf: Tensor  # 1: skip the update; see `arith.training.step`

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure: compute the gradient before its step")
        # AdamW's step goes through all groups, so it is shown its own alone.
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
        # Matrices of one shape are made orthogonal together: a few large products instead of many small ones.
        for (rows, columns), weights in alike.items():
            for weight in weights:
                if not self.state[weight]:  # AdamW expects a `step` in every state that it restores
                    steps = torch.zeros((), device=weight.device)
                    self.state[weight] = {"step": steps, "momentum": torch.zeros_like(weight)}
            gradient = torch.stack([weight.grad for weight in weights])
            before = torch.stack([self.state[weight]["momentum"] for weight in weights])
            if (left_out := getattr(self, "found_inf", None)) is None:
                kept = torch.ones((), device=gradient.device)
            else:
                kept = 1 - left_out
                # NaN times 0 is NaN, so a bad gradient is replaced: mixing the momentum with itself leaves it as it is.
                gradient = torch.where(left_out > 0, before, gradient)
            momentum = before.lerp(gradient, 1 - MOMENTUM)
            # Nesterov: the gradient counts once more. With the factor, entries are about 1 / sqrt(columns).
            update = orthogonal(gradient.lerp(momentum, MOMENTUM)) * max(1, rows / columns) ** 0.5
            rate = group["lr"] * kept
            for place, weight in enumerate(weights):
                weight.mul_(1 - rate * group["weight_decay"]).sub_(rate * update[place])
                self.state[weight]["momentum"].copy_(momentum[place])
                self.state[weight]["step"] += kept


def orthogonal(matrices: Float[Tensor, "m rows columns"]) -> Float[Tensor, "m rows columns"]:
    """Each matrix with its singular values brought to about 1; in bfloat16 on a GPU, which is precise enough.

    >>> import torch
    >>> found = torch.linalg.svdvals(orthogonal(torch.randn(3, 8, 4)))
    >>> bool(((found > 0.6) & (found < 1.3)).all())
    True
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    # x @ x.mT is as large as the rows, so the shorter side is put there.
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)  # no singular value is above 1
    for _ in range(STEPS):
        squared = x @ x.mT
        x = a * x + torch.baddbmm(b * squared, squared, squared, alpha=c) @ x
    found: Tensor = (x if wide else x.mT).to(matrices.dtype)
    return found
