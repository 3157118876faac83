"""RoPE: whole, partial, and of several levels."""

import pytest
import torch
from torch import Tensor

from arith.encodings.base import Positions
from arith.encodings.rope import RoPE
from tests.encodings.rotating import (
    close,
    complex_scores,
    double,
    hugging_face,
    plain_rope,
    random_heads,
    random_ids,
    scores,
)


def test_rope_is_bitwise_what_it_was() -> None:
    """Published results depend on it."""
    x = torch.randn(2, 3, 9, 16, requires_grad=True)
    ids = random_ids(3000)[:, :2]
    frequencies = 10000.0 ** -(torch.arange(0, 16, 2) / 16)
    angles = ids[0][:, None, :, None] * frequencies
    first, second = x.chunk(2, dim=-1)
    expected = torch.cat(
        [first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()], dim=-1
    )
    rope = RoPE(16)
    assert torch.equal(rope.frequencies, frequencies)
    found, _ = rope.rotate(x, x, Positions(ids, ids))
    assert torch.equal(found, expected)
    weights = torch.randn_like(x)
    (before,) = torch.autograd.grad((expected * weights).sum(), x)
    (after,) = torch.autograd.grad((found * weights).sum(), x)
    assert torch.equal(before, after)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_partial_rope_rotates_the_first_dimensions(share: float) -> None:
    encoding, ids = double(RoPE(16, share=share)), random_ids(3000)
    q, k = random_heads(16), random_heads(16, seed=1)
    width = int(16 * share)
    torch.testing.assert_close(encoding.frequencies, torch.tensor(plain_rope(width)).double(), rtol=1e-6, atol=0)
    close(scores(encoding, q, k, ids), complex_scores(encoding.frequencies.tolist(), q, k, ids[0]))
    turned, _ = encoding.rotate(q, k, Positions(ids, ids))
    assert torch.equal(turned[..., width:], q[..., width:])


def test_partial_rope_against_x_transformers() -> None:
    peer = pytest.importorskip("x_transformers.x_transformers")
    ours, theirs, ids = RoPE(16, share=0.5), peer.RotaryEmbedding(8), random_ids(500)
    torch.testing.assert_close(ours.frequencies, theirs.inv_freq, rtol=1e-6, atol=0)
    theirs.inv_freq = double(ours).frequencies
    q, k = random_heads(16), random_heads(16, seed=1)
    expected = [peer.apply_rotary_pos_emb(adjacent(x, 8), theirs(ids[0])[0]) for x in (q, k)]
    close(scores(double(ours), q, k, ids), expected[0] @ expected[1].mT)


def adjacent(x: Tensor, width: int) -> Tensor:
    """Dimensions i and i + d/2 side by side, as x_transformers has its pairs."""
    return torch.cat([x[..., :width].unflatten(-1, (2, -1)).mT.flatten(-2), x[..., width:]], dim=-1)


@pytest.mark.parametrize("kept", [1.0, 0.75, 0.7, 0.25])
def test_p_rope_keeps_the_highest_frequencies(kept: float) -> None:
    encoding = RoPE(16, kept=kept)
    expected = [own if place < int(8 * kept) else 0 for place, own in enumerate(plain_rope(16))]
    torch.testing.assert_close(encoding.frequencies, torch.tensor(expected), rtol=1e-6, atol=0)
    theirs, _ = hugging_face("proportional", 16, 10, 10, partial_rotary_factor=kept)
    torch.testing.assert_close(encoding.frequencies, theirs, rtol=1e-6, atol=0)
    q = random_heads(16)
    ids = random_ids(3000)
    turned, _ = double(encoding).rotate(q, q, Positions(ids, ids))
    turning = int(8 * kept)
    assert torch.equal(turned[..., turning:8], q[..., turning:8])
    assert torch.equal(turned[..., 8 + turning :], q[..., 8 + turning :])
    close(scores(double(encoding), q, q, ids), complex_scores(encoding.frequencies.tolist(), q, q, ids[0]))


def test_each_level_keeps_its_highest_frequencies() -> None:
    encoding, ids = double(RoPE(16, levels=2, kept=0.5)), random_ids(300, levels=2)
    assert (encoding.frequencies > 0).tolist() == [True, True, False, False]
    q, k = random_heads(16), random_heads(16, seed=1)
    expected = torch.zeros(3, 2, 9, 9, dtype=torch.float64)
    for level in range(2):
        own = slice(8 * level, 8 * level + 8)
        expected = expected + complex_scores(encoding.frequencies.tolist(), q[..., own], k[..., own], ids[level])
    close(scores(encoding, q, k, ids), expected)


def test_rounding_leaves_exact_shares_alone() -> None:
    assert RoPE(200, share=0.58).frequencies.shape[0] == 58  # 0.58 * 100 is 57.99999999999999


@pytest.mark.parametrize("levels", [2, 3])
def test_each_level_rotates_dimensions_of_its_own(levels: int) -> None:
    encoding, ids = double(RoPE(12 * levels, levels=levels, share=2 / 3)), random_ids(3000, levels)
    q, k = random_heads(12 * levels), random_heads(12 * levels, seed=1)
    expected = q[..., 8 * levels :] @ k[..., 8 * levels :].mT
    for level in range(levels):
        own = slice(8 * level, 8 * level + 8)
        expected = expected + complex_scores(encoding.frequencies.tolist(), q[..., own], k[..., own], ids[level])
    torch.testing.assert_close(encoding.frequencies, torch.tensor(plain_rope(8)).double(), rtol=1e-6, atol=0)
    close(scores(encoding, q, k, ids), expected)
