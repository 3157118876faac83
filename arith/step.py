"""One step of training: loss of the answer tokens, gradient, AdamW."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from arith.config import TrainingConfig
from arith.data import Batch
from arith.errors import RunError
from arith.model import Transformer
from arith.world import World

ALONE = World()


def training_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, config: TrainingConfig, world: World = ALONE
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """One update, left out if the loss or its gradient is no number.

    Returns the loss and the norm of the gradient before clipping, both on the device.
    """
    with autocast(batch.tokens.device, config):
        loss = answer_loss(model, batch, world)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    loss = world.sum(loss.detach()) / world.size
    # Where this is 1 fused AdamW changes nothing, weights and moments alike, and nobody waits for the device.
    optimizer.found_inf = (~_finite(loss, norm)).float()  # type: ignore[attr-defined]
    optimizer.step()
    return loss, norm


def answer_loss(model: nn.Module, batch: Batch, world: World = ALONE) -> Float[Tensor, ""]:
    """Cross entropy of the answer tokens and the end mark, averaged over all of them in the batch.

    Of several processes each gives its part of the sum, times their number: gradients are averaged over them.
    """
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    assert isinstance(inner, Transformer)
    ids = inner.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
    logits = model(batch.tokens[:, :-1], tuple(i[:, :, :-1] for i in ids), queries=batch.queries)
    asked = batch.answer_mask[:, -batch.queries :]
    mean = functional.cross_entropy(logits[asked].float(), batch.tokens[:, -batch.queries :][asked])
    if world.size == 1:
        return mean
    mine = asked.sum().float()
    return mean * mine * world.size / world.sum(mine.clone())


def _finite(loss: Tensor, norm: Tensor) -> Bool[Tensor, ""]:
    return torch.isfinite(loss + norm)


def adamw(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW; only the matrices of linear maps decay."""
    # GPT-2 of transformers has linear maps that are no nn.Linear.
    linear = [own for own in model.modules() if isinstance(own, nn.Linear) or type(own).__name__ == "Conv1D"]
    matrices = {id(module.weight) for module in linear}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if id(p) in matrices], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if id(p) not in matrices], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The rate of one step, counted from 0.

    >>> config = TrainingConfig(steps=100, warmup=10, learning_rate=1.0, final_rate=0.1)
    >>> [round(learning_rate(config, step), 2) for step in (0, 9, 55, 100)]
    [0.1, 1.0, 0.55, 0.1]
    """
    warm = min((step + 1) / config.warmup, 1.0) if config.warmup else 1.0
    done = max(step - config.warmup, 0) / max(config.steps - config.warmup, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * warm * (config.final_rate + (1 - config.final_rate) * cosine)


def autocast(device: torch.device, config: TrainingConfig) -> torch.autocast:
    """Mixed precision where it is asked for."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


class FiniteWatch:
    """Keeps the first step whose loss or gradient was no number, on the device, so that no step waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.first = torch.zeros(3, device=device)  # step, loss, norm of the gradient; step 0: none so far

    def see(self, step: int, loss: Tensor, norm: Tensor) -> None:
        bad = ~_finite(loss, norm) & (self.first[0] == 0)
        self.first = torch.where(bad, torch.stack([torch.full_like(loss, step), loss, norm.to(loss.dtype)]), self.first)

    def check(self, config: TrainingConfig) -> None:
        """Raise if there was one."""
        step, loss, norm = self.first.tolist()
        if step:
            first = (int(step) - 1) * config.batch
            raise RunError(
                f"the loss is {loss} and the norm of its gradient {norm} at step {int(step)}, "
                f"learning rate {learning_rate(config, int(step) - 1):.2e}, samples {first} to "
                f"{first + config.batch - 1} of the training data. It was not applied to the weights, "
                "and nothing later was saved. Try a lower --learning-rate"
            )
