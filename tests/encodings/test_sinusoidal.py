"""Sinusoids, against the formula and other implementations."""

import math

import pytest
import torch
from torch import Tensor
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings
from x_transformers.x_transformers import ScaledSinusoidalEmbedding

from arith.encodings.base import Positions
from arith.encodings.sinusoidal import Sinusoidal


def at(ids: Tensor) -> Positions:
    return Positions(ids[None], ids[None])


# Sinusoids
@pytest.mark.parametrize(("base", "scale", "resolution"), [(10000.0, 1.0, 1), (100.0, 0.3, 1), (10000.0, 1.4, 100)])
def test_sinusoids_are_the_formula(base: float, scale: float, resolution: int) -> None:
    width, ids = 6, [[1, 2, 0, 50, 3000]]
    x = torch.randn(1, 5, width, dtype=torch.float64)
    found = Sinusoidal(width, base, scale, resolution).embed(x, at(torch.tensor(ids))) - x
    for place, index in enumerate(ids[0]):
        angles = [index / resolution * base ** (-2 * k / width) for k in range(width // 2)]
        expected = [scale * wave(angle) for wave in (math.sin, math.cos) for angle in angles]
        assert found[0, place].tolist() == pytest.approx(expected if index else [0.0] * width, abs=1e-12)


def test_sinusoids_are_those_of_other_implementations() -> None:
    width, positions = 16, torch.arange(1, 400)
    found = Sinusoidal(width).embed(torch.zeros(1, 399, width), at(positions[None]))[0]
    theirs = ScaledSinusoidalEmbedding(width)
    torch.nn.init.ones_(theirs.scale)
    torch.testing.assert_close(found, theirs(found[None], pos=positions), rtol=0, atol=1e-4)
    taking_turns = create_sinusoidal_embeddings(400, width, torch.empty(400, width))
    expected = torch.cat([taking_turns[1:, 0::2], taking_turns[1:, 1::2]], dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_sinusoids_compare_with_a_token_embedding() -> None:
    found = Sinusoidal(64, scale=math.sqrt(2)).embed(torch.zeros(1, 1000, 64), at(torch.arange(1, 1001)[None]))
    assert found.square().mean().sqrt() == pytest.approx(1, abs=1e-6)


def test_sinusoids_are_exact_in_a_model_of_half_precision() -> None:
    ids = torch.tensor([[256, 257, 1001]])
    exact = Sinusoidal(8).embed(torch.zeros(1, 3, 8), at(ids))
    half = Sinusoidal(8).bfloat16().embed(torch.zeros(1, 3, 8, dtype=torch.bfloat16), at(ids))
    assert torch.equal(half, exact.bfloat16())
