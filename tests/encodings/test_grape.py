"""GRAPE, against exponentials of matrices."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arith.encodings.base import LayerEncoding, Positions
from arith.encodings.grape import GRAPE
from arith.kernels.attention import attention
from tests.encodings.rotating import close, random_heads, random_ids

WIDTH = 6


def layer_of(std: float = 0.3) -> LayerEncoding:
    """The second layer of two, its planes drawn anew."""
    layer = GRAPE(heads=2, head_width=WIDTH, layers=2).double().at(1)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=std, generator=generator)
    return layer


def generators(layer: LayerEncoding) -> Tensor:
    """L of each head."""
    a, b = layer.get_parameter("a").detach(), layer.get_parameter("b").detach()
    return a[:, :, None] * b[:, None] - b[:, :, None] * a[:, None]


def test_rotations_are_exponentials_of_the_generator() -> None:
    layer, q, k, ids = layer_of(), random_heads(WIDTH), random_heads(WIDTH, seed=1), random_ids(90)
    turns = torch.matrix_exp(ids[0, :, None, :, None, None] * generators(layer)[:, None])
    turned = layer.rotate(q, k, Positions(ids, ids))
    for found, own in zip(turned, (q, k), strict=True):
        close(found, (turns @ own[..., None])[..., 0])


def test_scores_depend_on_differences_only() -> None:
    layer, q, k, ids = layer_of(), random_heads(WIDTH), random_heads(WIDTH, seed=1), random_ids(90)

    def scores(ids: Tensor) -> Tensor:
        asking, answering = layer.rotate(q, k, Positions(ids, ids))
        return asking @ answering.mT

    distance = ids[0, :, None, None] - ids[0, :, None, :, None]
    expected = torch.einsum(
        "bhqd,bhqkde,bhke->bhqk", q, torch.matrix_exp(distance[..., None, None] * generators(layer)[:, None, None]), k
    )
    close(scores(ids), expected)
    close(scores(ids + 30), expected)
    assert not torch.allclose(expected, q @ k.mT, rtol=1e-3)


def test_tokens_without_position_are_not_rotated() -> None:
    q, ids = random_heads(WIDTH), torch.zeros(1, 3, 9, dtype=torch.long)
    turned, _ = layer_of().rotate(q, q, Positions(ids, ids))
    torch.testing.assert_close(turned, q)


def test_rope_of_two_dimensions_is_the_special_case() -> None:
    layer, q, ids = GRAPE(heads=1, head_width=2, layers=1).double().at(0), random_heads(2)[:, :1], random_ids(90)
    layer.get_parameter("a").data = torch.tensor([[0.0, 0.5]]).double()
    layer.get_parameter("b").data = torch.tensor([[2.0, 0.0]]).double()  # a radian a position
    turned, _ = layer.rotate(q, q, Positions(ids, ids))
    expected = torch.view_as_complex(q.contiguous()) * torch.polar(torch.ones(3, 9).double(), ids[0].double())[:, None]
    torch.testing.assert_close(turned, torch.view_as_real(expected))


def test_vectors_that_make_no_plane_turn_nothing() -> None:
    layer, q, ids = layer_of(), random_heads(WIDTH), random_ids(90)
    layer.get_parameter("b").data = torch.zeros(2, WIDTH).double()
    turned, _ = layer.rotate(q, q, Positions(ids, ids))
    torch.testing.assert_close(turned, q)
    gradients = torch.autograd.grad(turned.square().sum(), list(layer.parameters()))
    assert all(own.isfinite().all() for own in gradients)


def test_gradients_are_exact() -> None:
    layer, ids = layer_of(), random_ids(40)
    inputs = [random_heads(WIDTH, seed=seed).requires_grad_() for seed in range(3)]

    def out(q: Tensor, k: Tensor, v: Tensor, *_: Tensor) -> Tensor:
        return attention(*layer.rotate(q, k, Positions(ids, ids)), v)

    # gradcheck changes its inputs in place, so the module sees the change of its parameters.
    assert torch.autograd.gradcheck(out, (*inputs, *layer.parameters()), fast_mode=True)


def test_heads_that_share_keys_share_their_plane() -> None:
    layer, q, k, ids = layer_of(), random_heads(WIDTH), random_heads(WIDTH, seed=1)[:, :1], random_ids(90)
    asking, answering = layer.rotate(q, k, Positions(ids, ids))
    shifted, other = layer.rotate(q, k, Positions(ids + 30, ids + 30))
    close((shifted @ other.mT).detach(), (asking @ answering.mT).detach())


def test_planes_begin_with_the_frequencies_of_rope() -> None:
    torch.manual_seed(0)
    layer = GRAPE(heads=4, head_width=512, layers=1, base=16.0).at(0)
    # Random vectors of many dimensions are nearly orthogonal and of nearly one length.
    speeds = generators(layer).flatten(1).norm(dim=1) / 2**0.5
    torch.testing.assert_close(speeds, torch.tensor([1, 1 / 2, 1 / 4, 1 / 8]), rtol=0.1, atol=0)


def test_a_large_id_has_its_exact_angle_in_half_precision() -> None:
    layer, q, ids = layer_of(), random_heads(WIDTH).bfloat16(), random_ids(90) + 1000  # bfloat16 holds every eighth
    layer = layer.bfloat16()
    positions = Positions(ids, ids)
    found, _ = layer.rotate(q, q, positions)
    with torch.autocast("cpu", torch.bfloat16):
        cast, _ = layer.rotate(q, q, positions)
    exact, _ = layer.double().rotate(q.double(), q.double(), positions)
    assert found.dtype == cast.dtype == torch.bfloat16
    for own in (found, cast):
        assert (own - exact).abs().max() < 0.01 * exact.abs().max()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"base": 0.0}, "base is above 0, got 0.0"), ({"head_width": 1}, "two dimensions or more, got heads of 1")],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GRAPE(**({"heads": 2, "head_width": WIDTH, "layers": 1} | wrong))
