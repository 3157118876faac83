"""Tokens on a circle: an embedding of three parameters, for the smallest models."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


class CircleEmbedding(nn.Module):
    """Token t at an angle of its own in the first two dimensions, and at 0 in the others:

        e_t = radius * (cos(start + t * step), sin(start + t * step), 0, ...)

    Digits are the first ten tokens, so that equal steps of value are equal steps along the circle. The mean of two
    points of an arc points to the mean of their angles, and so to the sum of two digits.

    Args:
        num_embeddings: number of tokens, the vocabulary.
        width: of a token, at least 2.
        std: of the numbers of a table in whose place it stands; rows have the same length at the start.

    >>> circle = CircleEmbedding(17, width=4)
    >>> circle(torch.tensor([[3, 10]])).shape, sum(own.numel() for own in circle.parameters())
    (torch.Size([1, 2, 4]), 3)
    """

    def __init__(self, num_embeddings: int, width: int, std: float = 1.0) -> None:
        super().__init__()
        self.num_embeddings, self.width = num_embeddings, width
        self.radius = nn.Parameter(torch.tensor(std * math.sqrt(width)))
        self.start = nn.Parameter(torch.tensor(0.0))
        # Once around for the whole vocabulary: no two tokens begin at one place.
        self.step = nn.Parameter(torch.tensor(2 * math.pi / num_embeddings))

    @property
    def weight(self) -> Float[Tensor, "v w"]:
        """The rows of all tokens, as those of a table."""
        angle = self.start + self.step * torch.arange(self.num_embeddings, device=self.step.device)
        points = self.radius * torch.stack((angle.cos(), angle.sin()), dim=-1)
        return functional.pad(points, (0, self.width - 2))

    def forward(self, tokens: Int[Tensor, "b n"]) -> Float[Tensor, "b n w"]:
        return functional.embedding(tokens, self.weight)


Tokens = nn.Embedding | CircleEmbedding
