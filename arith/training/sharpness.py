"""Sharpness, the largest eigenvalue of the loss's Hessian on a fixed batch, and how near it is to what is stable."""

import copy
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from arith.config.schema import TrainingConfig
from arith.data.batch import Batch
from arith.data.dataset import Dataset
from arith.errors import UsageError
from arith.model.norm import RMSNorm
from arith.model.transformer import Transformer

LEAST, MOST = 10, 80  # products with the Hessian; about 20 are usual
TOLERANCE = 1e-3  # of the residual; an eigenvalue is then right to about its square


def largest_eigenvalue(product: Callable[[Float[Tensor, " p"]], Float[Tensor, " p"]], size: int) -> float:
    """The largest eigenvalue of a symmetric matrix, the highest one and not that of the largest size, by Lanczos.

    Args:
        product: the matrix times a vector, in float64.
        size: the length of these vectors.

    >>> matrix = torch.diag(torch.tensor([-9.0, 1.0, 4.0], dtype=torch.float64))
    >>> round(largest_eigenvalue(lambda vector: matrix @ vector, 3), 6)
    4.0
    """
    # One start for all: what is measured then depends on the weights alone, and a resumed run has the same numbers. The
    # last eigenvector, with which it would take fewer products, may be that of an eigenvalue that was overtaken.
    start = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    basis = (start / start.norm())[None]
    diagonal, beside, found = list[float](), list[float](), 0.0
    for _ in range(min(size, MOST)):
        image = product(basis[-1])
        diagonal.append(float(image @ basis[-1]))
        for _ in range(2):  # once would leave rounding errors, which bring back eigenvectors that are found already
            image = image - (basis @ image) @ basis
        beside.append(float(image.norm()))
        inner = torch.tensor(beside[:-1], dtype=torch.float64)
        small = torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + torch.diag(inner, 1) + torch.diag(inner, -1)
        values, vectors = torch.linalg.eigh(small)
        found, residual = float(values[-1]), beside[-1] * abs(float(vectors[-1, -1]))
        if residual <= 1e-12 or (len(diagonal) >= LEAST and residual <= TOLERANCE * abs(found)):
            break
        basis = torch.cat([basis, (image / beside[-1])[None]])
    return found


class Sharpness:
    """Measures a model in training on one batch, in plain torch and float64 on the CPU.

    Fused kernels have no second derivative: a copy of the model is made that does without them. A measurement takes the
    time of about 60 steps on that CPU, and memory for as many copies of the weights as there are products.

    Args:
        batch: the samples, on the CPU; with all of the training set it is the sharpness of gradient descent's own loss.
        config: the training's, whose optimiser decides what is stable.
    """

    def __init__(self, batch: Batch, config: TrainingConfig) -> None:
        self._batch, self._config = batch, config

    def row(self, model: Transformer, optimizer: torch.optim.Optimizer, rate: float) -> dict[str, float]:
        """What metrics.jsonl keeps: `sharpness`, and `edge`, which is 1 at the edge of stability.

        `edge` is sharpness x rate / 2 for gradient descent, less by 1 + momentum where there is one. For AdamW the
        Hessian is preconditioned by the second moments, and the line is (2 + 2 beta1) / ((1 - beta1) rate): Cohen et
        al., "Adaptive gradient methods at the edge of stability", arXiv 2207.14484. Muon has no `edge`.

        Args:
            model, optimizer: after a step.
            rate: the learning rate of that step.

        Returns:
            Nothing, if the gradient is not finite.
        """
        own = [parameter for parameter in model.parameters() if parameter.requires_grad]
        product = hessian_product(model, self._batch)
        if product is None:
            return {}
        size, config = sum(parameter.numel() for parameter in own), self._config
        found = {"sharpness": largest_eigenvalue(product, size)}
        if config.optimizer == "sgd":
            found["edge"] = found["sharpness"] * rate / 2 / (1 + config.momentum)
        elif config.optimizer == "adamw":
            scale = torch.cat([_preconditioner(optimizer, parameter, config) for parameter in own])
            top = largest_eigenvalue(lambda vector: scale * product(scale * vector), size)
            found["edge"] = top * rate / 2 * (1 - config.betas[0]) / (1 + config.betas[0])
        return found if all(map(math.isfinite, found.values())) else {}


def watch_sharpness(model: Transformer, data: Dataset, config: TrainingConfig) -> Sharpness | None:
    """What measures the sharpness of a training on its first batch; None if it is not asked for.

    Raises:
        UsageError: the model has an operation without a second derivative.
    """
    if not config.sharpness_every:
        return None
    batch = data.batch(0, config.batch)
    # Tried once, on one sample: the first measurement may be an hour away.
    try:
        product = hessian_product(model, data.batch(0, 1))
        if product is not None:
            product(torch.zeros(sum(p.numel() for p in model.parameters() if p.requires_grad), dtype=torch.float64))
    except RuntimeError as error:
        if "derivative" not in str(error) and "differentiable" not in str(error):
            raise
        raise UsageError(
            f"training.sharpness_every needs second derivatives, and this model has none: {error}. Leave it out"
        ) from error
    return Sharpness(batch, config)


def hessian_product(model: Transformer, batch: Batch) -> Callable[[Float[Tensor, " p"]], Float[Tensor, " p"]] | None:
    """The Hessian of a model's loss on a batch, times a vector of all its trained parameters; None if it is not finite.

    The model is copied, and stays as it is.
    """
    twin = copy.deepcopy(model).to("cpu", torch.float64)
    for module in twin.modules():
        if isinstance(module, RMSNorm):
            module.__class__ = nn.RMSNorm  # type: ignore[assignment]  # torch's own, as ours has a first derivative alone
    parameters = [parameter for parameter in twin.parameters() if parameter.requires_grad]
    slopes = torch.autograd.grad(twin.loss(batch), parameters, create_graph=True, materialize_grads=True)
    gradient = torch.cat([slope.flatten() for slope in slopes])
    if not bool(gradient.isfinite().all()):
        return None

    def product(vector: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
        found = torch.autograd.grad(gradient @ vector, parameters, retain_graph=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in found])

    return product


def _preconditioner(optimizer: torch.optim.Optimizer, parameter: Tensor, config: TrainingConfig) -> Float[Tensor, " p"]:
    """What AdamW's steps along each coordinate are multiplied by, under a root; 0 where it has taken none."""
    state = optimizer.state[parameter]
    if "exp_avg_sq" not in state:
        return torch.zeros(parameter.numel(), dtype=torch.float64)
    taken, moment = float(state["step"]), state["exp_avg_sq"].detach().to("cpu", torch.float64).flatten()
    root = (moment / (1 - config.betas[1] ** taken)).sqrt() + optimizer.param_groups[0]["eps"]
    scale: Tensor = (root * (1 - config.betas[0] ** taken)).rsqrt()
    return scale
