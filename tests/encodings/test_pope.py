"""PoPE, against x_transformers and the formula in plain loops."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arith.encodings.base import LayerEncoding, Positions
from arith.encodings.pope import PoPE
from arith.kernels.attention import attention
from tests.encodings.rotating import random_heads, random_ids

WIDTH = 6


def shifted(seed: int = 0) -> LayerEncoding:
    """The second layer of two, its shifts between -2 pi and 0, where those of x_transformers have to be."""
    layer = PoPE(heads=2, head_width=WIDTH, layers=2).double().at(1)
    shift = layer.get_parameter("shift")
    nn.init.uniform_(shift, -2 * math.pi, 0, generator=torch.Generator().manual_seed(seed))
    return layer


def scores(layer: LayerEncoding, q: Tensor, k: Tensor, ids: Tensor) -> Tensor:
    """As the op scales them."""
    q, k = layer.rotate(q, k, Positions(ids, ids))
    return q @ k.mT / math.sqrt(q.shape[3])


def test_scores_are_what_the_paper_defines() -> None:
    layer, q, k, ids = shifted(), random_heads(WIDTH), random_heads(WIDTH, seed=1), random_ids(3000)
    shift = layer.get_parameter("shift").tolist()
    expected = torch.zeros(3, 2, 9, 9, dtype=torch.float64)
    for b, h, i, j in torch.cartesian_prod(*map(torch.arange, (3, 2, 9, 9))).tolist():
        for c in range(WIDTH):
            phase = int(ids[0, b, i] - ids[0, b, j]) * 10000 ** (-c / WIDTH) - shift[h][c]
            asking, answering = (math.log1p(math.exp(float(x))) for x in (q[b, h, i, c], k[b, h, j, c]))
            expected[b, h, i, j] += asking * answering * math.cos(phase) / math.sqrt(WIDTH)
    torch.testing.assert_close(scores(layer, q, k, ids), expected, rtol=1e-9, atol=1e-12)


def test_it_is_that_of_x_transformers() -> None:
    peer = pytest.importorskip("x_transformers.x_transformers")
    layer, q, k, ids = shifted(), random_heads(WIDTH).float(), random_heads(WIDTH, seed=1).float(), random_ids(40)
    layer = layer.float()
    theirs = peer.PolarEmbedding(WIDTH, heads=2)
    theirs.learned_bias.data = layer.get_parameter("shift").data[:, None]
    angles, bias = theirs(ids[0, 0])
    asking, answering = peer.apply_polar_pos_emb(q[:1], angles), peer.apply_polar_pos_emb(k[:1], angles + bias)
    expected = asking @ answering.mT / math.sqrt(WIDTH)
    torch.testing.assert_close(scores(layer, q[:1], k[:1], ids[:, :1]), expected, rtol=1e-5, atol=1e-5)


def test_gradients_are_exact() -> None:
    layer, ids = shifted(), random_ids(40)
    inputs = [random_heads(WIDTH, seed=seed).requires_grad_() for seed in range(3)]

    def out(q: Tensor, k: Tensor, v: Tensor, shift: Tensor) -> Tensor:
        return attention(*layer.rotate(q, k, Positions(ids, ids)), v)

    # gradcheck changes its inputs in place, so the module sees the change of its parameter.
    assert torch.autograd.gradcheck(out, (*inputs, layer.get_parameter("shift")), fast_mode=True)


def test_heads_that_share_keys_have_shifts_of_their_own() -> None:
    layer, q, k, ids = shifted(), random_heads(WIDTH), random_heads(WIDTH, seed=1)[:, :1], random_ids(40)
    together = scores(layer, q, k, ids)
    torch.testing.assert_close(together, scores(layer, q, k.expand(-1, 2, -1, -1), ids))
    assert not torch.allclose(*scores(layer, q[:, :1].expand(-1, 2, -1, -1), k, ids).unbind(1))


def test_a_large_id_has_its_exact_angle_in_half_precision() -> None:
    layer, q, ids = shifted(), random_heads(WIDTH).bfloat16(), random_ids(90) + 1000  # bfloat16 holds every eighth
    positions = Positions(ids, ids)
    exact, _ = layer.rotate(q.double(), q.double(), positions)
    found, keys = layer.bfloat16().rotate(q, q, positions)
    with torch.autocast("cpu", torch.bfloat16):
        cast, _ = layer.rotate(q, q, positions)
    assert found.dtype == keys.dtype == cast.dtype == torch.bfloat16
    for own in (found, cast):
        assert (own - exact).abs().max() < 0.03 * exact.abs().max()


@pytest.mark.parametrize("wrong", [{"base": 0.0}, {"base": -1.0}])
def test_wavelengths_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"pope's base is above 0, got {wrong['base']}"):
        PoPE(heads=2, head_width=WIDTH, layers=1, **wrong)
