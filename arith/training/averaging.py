"""A running average of the weights, which is tested and kept in place of the last step's own."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class Average:
    """The mean of the weights after each step so far, and, once there are many, an exponential one.

    a <- a + max(1 - decay, 1 / step) (w - a). The first step's weights are taken whole, so that those that training
    began with have no part in it. An exponential average, not one of the last steps: it is there after every step, so
    that its accuracy can be followed, and a run may be resumed and go on without knowing where it will end.

    Args:
        model: the model in training; parts that it does not train are as they are.
        decay: the share of the average that stays in each step, below 1. It spans about 1 / (1 - decay) steps. With 0
            there is none, and the model's own weights are taken everywhere.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = Average(model, decay=0.5)
    >>> for step, weight in enumerate([4.0, 6.0, 9.0], 1):
    ...     _ = nn.init.constant_(model.weight, weight)
    ...     average.update(step)
    >>> with average.shown():  # (4 + 6) / 2 = 5, then (5 + 9) / 2
    ...     model.weight.item()
    7.0
    >>> model.weight.item()
    9.0
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        # By parameter, not by name: two parts that share a tensor have one average.
        self._weights: list[Tensor] = [
            parameter for parameter in model.parameters() if parameter.requires_grad and decay
        ]
        self._values = [parameter.detach().clone() for parameter in self._weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after a step, counted from 1."""
        if self._weights:  # torch takes no empty lists
            torch._foreach_lerp_(self._values, self._weights, max(1 - self._decay, 1 / step))

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Within, the model has the average for its weights."""
        own = [parameter.detach().clone() for parameter in self._weights]
        self._fill(self._values)
        try:
            yield
        finally:
            self._fill(own)

    def replace(self) -> None:
        """Give the model the average for good."""
        self._fill(self._values)

    def state(self) -> dict[str, Tensor] | None:
        """All of the model's tensors by name, as a checkpoint has them, with the average for its weights."""
        if not self._weights:
            return None
        with self.shown():
            return {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}

    def restore(self, averaged: Mapping[str, Tensor]) -> None:
        """Take up the average of a checkpoint, whose own weights the model has already."""
        if not self._weights:
            return
        own = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
        self._model.load_state_dict(averaged)  # its names are those of `state`; a pretrained model leaves some out
        self._values = [parameter.detach().clone() for parameter in self._weights]
        self._model.load_state_dict(own)

    @torch.no_grad()
    def _fill(self, values: list[Tensor]) -> None:
        # In place: compiled steps and optimisers hold these very tensors.
        if self._weights:
            torch._foreach_copy_(self._weights, values)
