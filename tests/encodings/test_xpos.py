"""xPos, against another implementation and by hand."""

import math

import pytest
import torch
from torch import Tensor

from arith.encodings.base import Positions
from arith.encodings.xpos import XPos
from tests.encodings.rotating import (
    close,
    complex_scores,
    double,
    random_heads,
    random_ids,
    scores,
)


def adjacent(x: Tensor, width: int) -> Tensor:
    """Dimensions i and i + d/2 side by side, as x_transformers has its pairs."""
    return torch.cat([x[..., :width].unflatten(-1, (2, -1)).mT.flatten(-2), x[..., width:]], dim=-1)


def test_xpos_turns_by_its_base() -> None:
    expected = torch.tensor([30.0 ** (-2 * place / 8) for place in range(4)])
    torch.testing.assert_close(XPos(8, 90, base=30.0).frequencies, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("highest", "scale_base"), [(60, 20.0), (3000, 512.0)])
def test_xpos_by_hand(highest: int, scale_base: float) -> None:
    encoding = double(XPos(8, highest, scale_base=scale_base))
    q, k, ids = random_heads(8), random_heads(8, seed=1), random_ids(highest)
    zeta = [((place / 4 + 0.4) / 1.4) ** (1 / scale_base) for place in range(4)]
    expected = complex_scores(encoding.frequencies.tolist(), q, k, ids[0], zeta)
    found = scores(encoding, q, k, ids)
    # Scores of keys that lie far ahead dwarf all others.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_xpos_against_x_transformers() -> None:
    peer = pytest.importorskip("x_transformers.x_transformers")
    ours, theirs = XPos(8, highest=3000), peer.RotaryEmbedding(8, use_xpos=True)
    torch.testing.assert_close(ours.frequencies, theirs.inv_freq, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours.logarithms[:4].exp(), theirs.scale, rtol=1e-6, atol=0)
    theirs = theirs.double()
    theirs.inv_freq = double(ours).frequencies  # or a last bit's difference is multiplied by ids in the thousands
    q, k, ids = random_heads(8), random_heads(8, seed=1), random_ids(3000)
    turns, scale = theirs(ids[0])
    asking = peer.apply_rotary_pos_emb(adjacent(q, 8), turns, scale)
    answering = peer.apply_rotary_pos_emb(adjacent(k, 8), turns, scale**-1)
    torch.testing.assert_close(scores(double(ours), q, k, ids), asking @ answering.mT, rtol=1e-5, atol=1e-6)


def test_xpos_scores_do_not_depend_on_the_centre() -> None:
    q, k, ids = random_heads(8), random_heads(8, seed=1), random_ids(50)
    near, far = (scores(double(XPos(8, highest)), q, k, ids) for highest in (50, 9000))
    close(near, far)


@pytest.mark.parametrize(("highest", "scale_base"), [(60, 2.0), (60, 512.0), (3000, 64.0)])
def test_xpos_reaches_as_far_as_numbers_hold(highest: int, scale_base: float) -> None:
    encoding = XPos(8, highest, scale_base=scale_base)
    assert encoding.reach is not None
    assert encoding.reach >= highest

    def turned(last: int) -> Tensor:
        ids = torch.tensor([[[1, last]]])
        q, k = encoding.rotate(torch.ones(1, 1, 2, 8), torch.ones(1, 1, 2, 8), Positions(ids, ids))
        return torch.cat([own.flatten() for own in (q, k, q @ k.mT)])

    assert turned(encoding.reach).isfinite().all()
    assert not turned(30 * encoding.reach).isfinite().all()


def test_xpos_in_float32_holds_thousands_of_positions() -> None:
    highest = 32000  # zeta ** (-highest / 512) is e ** 78, the root of which is all that numbers grow by
    encoding = XPos(8, highest)
    ids = torch.tensor([[[1, highest // 2, highest - 1, highest]]])
    q, k = (random_heads(8, 4, seed)[:1].float().requires_grad_() for seed in (0, 1))
    for turned in encoding.rotate(q, k, Positions(ids, ids)):
        assert turned.abs().amax() < math.exp(41)
    found = scores(encoding, q, k, ids)
    assert found.isfinite().all()
    causal = found.masked_fill(torch.ones(4, 4).triu(1).bool(), -math.inf)
    causal.softmax(-1).square().sum().backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()
    exact = scores(double(encoding), q.double(), k.double(), ids)
    torch.testing.assert_close(found.tril(), exact.tril().float(), rtol=1e-2, atol=1e-2)
