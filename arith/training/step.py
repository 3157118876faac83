"""One step of training: loss, gradient, update."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from arith.config.schema import TrainingConfig
from arith.data.batch import Batch
from arith.errors import RunError
from arith.model.transformer import Transformer
from arith.training.distributed import ALONE, World
from arith.training.gradients import GradientNorms
from arith.training.optimiser import learning_rate

LossOf = Callable[[Transformer, Batch], Float[Tensor, ""]]


def batch_loss(model: Transformer, batch: Batch) -> Float[Tensor, ""]:
    """The loss of a batch as each kind of model defines it."""
    return model.loss(batch)


def autocast(device: torch.device, config: TrainingConfig) -> torch.autocast:
    """Mixed precision if the configuration says bfloat16; else a context that does nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


@runtime_checkable
class GivesUp(Protocol):
    """A loss with a slower fallback."""

    def gives_up(self, error: Exception) -> bool:
        """Switch to the fallback for good, or return False if the error is not the fast path's fault."""
        ...


def training_step(
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    config: TrainingConfig,
    world: World = ALONE,
    loss_of: LossOf | None = None,
    norms: GradientNorms | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """One optimiser update; skipped on the device if the loss or gradient is NaN or infinite.

    The host never waits for the device in it, so that it can queue the next step meanwhile.

    Args:
        batches: the parts of the step, whose losses and gradients add up; see `arith.training.feed`.
        loss_of: `batch_loss`, or what computes the same faster; see `arith.training.compiled`.
        norms: what measures the gradients before they are clipped, in steps that are logged.

    Returns:
        The loss and the norm of the gradient before clipping, both on the device.
    """
    optimizer.zero_grad(set_to_none=len(batches) == 1)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    # Gradients that add up need memory of their own: a CUDA graph's is overwritten by its next replay.
    if len(batches) > 1:
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
    losses = []
    for batch in batches:
        losses.append(_forward_backward(model, batch, config, loss_of or batch_loss))
    loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
    # A sum, not a mean: each process has divided its loss by the tokens of all of them.
    world.sum([*(p.grad for p in parameters if p.grad is not None), loss])
    if norms is not None:
        norms.measure()
    norm = nn.utils.clip_grad_norm_(parameters, config.clip)
    # Where this is 1 no optimiser here changes weights or moments. An `if` would wait for the device.
    optimizer.found_inf = (~_finite(loss, norm)).float()  # type: ignore[attr-defined]
    optimizer.step()
    return loss, norm


def _forward_backward(model: Transformer, batch: Batch, config: TrainingConfig, loss_of: LossOf) -> Float[Tensor, ""]:
    """Compute the loss of a batch and add its gradient to the parameters'."""
    with autocast(batch.samples.tokens.device, config):
        loss = loss_of(model, batch)
    try:
        loss.backward()  # type: ignore[no-untyped-call]
    except Exception as error:
        # Graphs of the way back are compiled when they first run. One that fails has added nothing to any gradient.
        if not (isinstance(loss_of, GivesUp) and loss_of.gives_up(error)):
            raise
        return _forward_backward(model, batch, config, loss_of)
    return loss.detach().clone()


def _finite(loss: Tensor, norm: Tensor) -> Bool[Tensor, ""]:
    return torch.isfinite(loss + norm)  # a sum is finite only if both are


class FiniteWatch:
    """Keeps the first step whose loss or gradient was not finite, on the device, so that no step waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.first = torch.zeros(3, device=device)  # step, loss, norm of the gradient; step 0: none so far

    def see(self, step: int, loss: Tensor, norm: Tensor) -> None:
        bad = ~_finite(loss, norm) & (self.first[0] == 0)
        self.first = torch.where(bad, torch.stack([torch.full_like(loss, step), loss, norm.to(loss.dtype)]), self.first)

    def check(self, config: TrainingConfig) -> None:
        """Raise a RunError if there was one; this waits for the device."""
        step, loss, norm = self.first.tolist()
        if step:
            first = (int(step) - 1) * config.batch
            raise RunError(
                f"the loss is {loss} and the norm of its gradient {norm} at step {int(step)}, "
                f"learning rate {learning_rate(config, int(step) - 1):.2e}, samples {first} to "
                f"{first + config.batch - 1} of the training data. It was not applied to the weights, "
                "and nothing later was saved. Try a lower --learning-rate"
            )
