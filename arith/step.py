"""One step of training: loss of the tokens asked for, gradient, AdamW."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from arith.auxiliary import Summing, with_sums
from arith.config import TrainingConfig
from arith.data import Batch
from arith.errors import RunError
from arith.looped import Looped, trace_loss
from arith.model import Transformer
from arith.muon import Muon
from arith.world import ALONE, World

LossOf = Callable[[Transformer, Batch], Float[Tensor, ""]]


@runtime_checkable
class GivesUp(Protocol):
    """A loss that can be computed in a simpler way."""

    def gives_up(self, error: Exception) -> bool:
        """Whether it will be from now on, as the other way failed like this."""
        ...


def training_step(
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    config: TrainingConfig,
    world: World = ALONE,
    loss_of: LossOf | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """One update, left out if the loss or its gradient is no number. Nobody waits for the device in it.

    Args:
        batches: whose losses, and gradients, add up to those of the step; see `arith.feed`.
        loss_of: `answer_loss`, or what computes the same faster; see `arith.compiling`.

    Returns:
        The loss and the norm of the gradient before clipping, both on the device.
    """
    optimizer.zero_grad(set_to_none=len(batches) == 1)
    parameters = [own for group in optimizer.param_groups for own in group["params"]]
    if len(batches) > 1:  # what adds up needs memory of its own: a CUDA graph's is overwritten by its next replay
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
    losses = []
    for batch in batches:
        losses.append(_there_and_back(model, batch, config, loss_of or answer_loss))
    loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
    world.sum([*(p.grad for p in parameters if p.grad is not None), loss])
    norm = nn.utils.clip_grad_norm_(parameters, config.clip)
    # Where this is 1 fused AdamW, and Muon, change nothing, weights and moments alike, and nobody waits for the device.
    optimizer.found_inf = (~_finite(loss, norm)).float()  # type: ignore[attr-defined]
    optimizer.step()
    return loss, norm


def _there_and_back(model: Transformer, batch: Batch, config: TrainingConfig, loss_of: LossOf) -> Float[Tensor, ""]:
    """The loss of a batch, whose gradient is added to that of the parameters."""
    with autocast(batch.samples.tokens.device, config):
        loss = loss_of(model, batch)
    try:
        loss.backward()  # type: ignore[no-untyped-call]
    except Exception as error:
        # Graphs of the way back are compiled when they first run. One that fails has added nothing to any gradient.
        if not (isinstance(loss_of, GivesUp) and loss_of.gives_up(error)):
            raise
        return _there_and_back(model, batch, config, loss_of)
    return loss.detach().clone()


def answer_loss(model: Transformer, batch: Batch) -> Float[Tensor, ""]:
    """Cross entropy of the tokens asked for, summed, and divided by how many the whole step has.

    Of a model that learns loops of a trace, `trace_loss`. Of one that is told running sums, theirs is summed too.
    """
    if isinstance(model, Looped):
        return trace_loss(model, batch)
    tokens, ids = batch.tokens[:, :-1], tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))
    told: Tensor | None = None
    if isinstance(model, Summing):
        logits, told = with_sums(model, tokens, ids, batch)
    else:
        logits = model(tokens, ids, queries=batch.queries, picked=batch.picked)
    wanted, asked = batch.wanted
    # Tokens that are not asked for are left out by weight: to pick the others would wait for their number.
    each = functional.cross_entropy(rearrange(logits, "b a v -> (b a) v").float(), wanted.flatten(), reduction="none")
    summed = (each * asked.flatten()).sum()
    if told is not None:
        summed = summed + told
    return summed / (asked.sum() if batch.total is None else batch.total)


def _finite(loss: Tensor, norm: Tensor) -> Bool[Tensor, ""]:
    return torch.isfinite(loss + norm)


def optimizer_of(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW, with Muon for the matrices of the blocks if asked for; only the matrices of linear maps decay.

    A group's `scale` is its learning rate as a multiple of `training.learning_rate`.
    """
    # GPT-2 of transformers has linear maps that are no nn.Linear.
    linear = [own for own in model.modules() if isinstance(own, nn.Linear) or type(own).__name__ == "Conv1D"]
    matrices = {id(module.weight) for module in linear}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = {"weight_decay": config.weight_decay, "scale": 1.0}
    others = {"params": [p for p in parameters if id(p) not in matrices], "weight_decay": 0.0, "scale": 1.0}
    if config.optimizer == "adamw":
        groups = [{"params": [p for p in parameters if id(p) in matrices], **decay}, others]
        return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)
    assert isinstance(model, Transformer)
    inside = {id(own.weight) for own in model.blocks.modules() if isinstance(own, nn.Linear)}
    # The head's rows are tokens, as the embedding's.
    outside = [p for p in parameters if id(p) in matrices and id(p) not in inside]
    blocks = {"params": [p for p in parameters if id(p) in inside], **decay}
    blocks |= {"scale": config.muon_rate / config.learning_rate, "orthogonal": True}
    groups = [blocks, {"params": outside, "orthogonal": False, **decay}, {"orthogonal": False, **others}]
    return Muon(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int) -> None:
    """Each group's learning rate of one step, counted from 0."""
    for group in optimizer.param_groups:
        group["lr"] = group["scale"] * learning_rate(config, step)


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


@contextmanager
def products(config: TrainingConfig) -> Iterator[None]:
    """Within, a GPU multiplies 32-bit matrices as `training.precision` says; in full, unless tf32 is asked for."""
    if config.precision != "tf32":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


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
