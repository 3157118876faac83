"""What all of the rotations have in common."""

import pytest
import torch

import arith
from arith.encodings.base import Positions
from arith.encodings.compose import Part
from arith.encodings.positions import Sequential
from arith.encodings.rope import RoPE
from arith.encodings.rope_scaled import Interpolated, YaRN
from arith.encodings.xpos import XPos
from arith.errors import UsageError
from tests.encodings.rotating import (
    SCALED,
    close,
    double,
    random_heads,
    random_ids,
    scores,
)

ROTATIONS = [
    RoPE(8),
    RoPE(8, share=0.5),
    RoPE(8, kept=0.5),
    RoPE(8, levels=2),
    *SCALED,
    XPos(8, highest=90),
    XPos(8, highest=90, scale_base=20.0),
]


def name(encoding: RoPE) -> str:
    return type(encoding).__name__


@pytest.mark.parametrize("encoding", ROTATIONS, ids=name)
def test_scores_depend_on_differences_only(encoding: RoPE) -> None:
    q, k, ids = random_heads(8), random_heads(8, seed=1), random_ids(60, encoding.levels)
    shifted = scores(double(encoding), q, k, ids + 30)
    close(scores(double(encoding), q, k, ids), shifted)
    assert not torch.allclose(shifted, q @ k.mT, rtol=1e-3)


@pytest.mark.parametrize("encoding", [own for own in ROTATIONS if not isinstance(own, XPos)], ids=name)
def test_tokens_without_position_are_not_rotated(encoding: RoPE) -> None:
    q, ids = random_heads(8), torch.zeros(2, 3, 9, dtype=torch.long)
    turned, _ = double(encoding).rotate(q, q, Positions(ids, ids))
    torch.testing.assert_close(turned, q * getattr(encoding, "attention_factor", 1.0))


@pytest.mark.parametrize("encoding", ROTATIONS, ids=name)
def test_nothing_follows_the_length_so_far(encoding: RoPE) -> None:
    q, ids = random_heads(8), random_ids(90, levels=2)
    whole, _ = double(encoding).rotate(q, q, Positions(ids, ids))
    begun, _ = double(encoding).rotate(q[:, :, :3], q[:, :, :3], Positions(ids[:, :, :3], ids[:, :, :3]))
    assert torch.equal(whole[:, :, :3], begun)


def test_frequencies_of_a_model_in_double_precision_are_exact() -> None:
    """Of float32 the last digit is off, and thousands of positions multiply it."""
    for encoding in ROTATIONS:
        assert double(encoding).frequencies.dtype == torch.float64
        assert torch.equal(double(encoding).float().frequencies, encoding.frequencies)
    exact = torch.tensor([10000.0 ** (-2 * place / 16) for place in range(8)], dtype=torch.float64)
    torch.testing.assert_close(RoPE(16).double().frequencies, exact, rtol=1e-15, atol=0)
    torch.testing.assert_close(Interpolated(16, 90, 30).double().frequencies, exact / 3, rtol=1e-15, atol=0)
    zeta = torch.tensor([(place / 4 + 0.4) / 1.4 for place in range(4)], dtype=torch.float64)
    torch.testing.assert_close(XPos(8, 90).double().logarithms, zeta.log().repeat(2), rtol=1e-14, atol=0)


@pytest.mark.parametrize("encoding", ROTATIONS, ids=name)
def test_angles_are_exact_in_half_precision(encoding: RoPE) -> None:
    q, ids = random_heads(8).float(), random_ids(90, encoding.levels) + 1000  # bfloat16 holds every eighth
    positions = Positions(ids, ids)
    exact = torch.cat(encoding.rotate(q, q, positions))
    with torch.autocast("cpu", torch.bfloat16):
        cast = torch.cat(encoding.rotate(q.bfloat16(), q.bfloat16(), positions))
    assert cast.dtype == torch.bfloat16
    assert (cast.float() - exact).abs().max() < 0.02 * exact.abs().max()
    half = double(encoding).float().bfloat16()
    for own, kept in zip(encoding.buffers(), half.buffers(), strict=True):
        assert torch.equal(own, kept)
    assert torch.equal(torch.cat(half.rotate(q.bfloat16(), q.bfloat16(), positions)), cast)


@pytest.mark.parametrize(
    ("spec", "changed"),
    [
        ("rope:base=10000", "rope:base=100"),
        ("rope-interpolated:trained=20", "rope-interpolated:trained=30"),
        ("rope-llama3:trained=20", "rope-llama3:trained=20,high=2"),
        ("rope-long:trained=20,factors=1-2", "rope-long:trained=20,factors=2-2"),
        ("rope-ntk:trained=20", "rope-ntk:trained=20,alpha=3"),
        ("rope-yarn:trained=20", "rope-yarn:trained=10"),
        ("xpos:scale_base=512", "xpos:scale_base=5"),
    ],
)
def test_two_of_a_kind_share_no_state(spec: str, changed: str) -> None:
    def built(text: str) -> RoPE:
        part = arith.encoding(text, width=8, heads=2, layers=1, tokens=40).parts[0]
        assert isinstance(part, RoPE)
        return part.double()

    q, ids = random_heads(4), random_ids(40)
    first = built(spec)
    before, _ = first.rotate(q, q, Positions(ids, ids))
    second = built(changed)
    other, _ = second.rotate(q, q, Positions(ids, ids))
    assert not torch.allclose(before, other)
    assert torch.equal(first.rotate(q, q, Positions(ids, ids))[0], before)


def test_a_model_trained_with_rope_takes_any_of_them() -> None:
    shape = {"width": 32, "heads": 4, "layers": 1}
    for spec in ("rope:share=0.5", "rope-yarn:trained=9", "rope-long:trained=9,factors=1-2-3-4", "xpos"):
        arith.encoding(spec, **shape).load_state_dict(arith.encoding("rope", **shape).state_dict())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rope:share=0", "share is above 0 and at most 1, got 0.0"),
        ("rope:share=1.5", "share is above 0 and at most 1, got 1.5"),
        ("rope:kept=-1", "kept is above 0 and at most 1, got -1.0"),
        ("rope:share=0.1", "share=0.1 of 8 dimensions leaves nothing to rotate: a pair for each level takes 2 of them"),
        ("rope:kept=0.2", "kept=0.2 leaves nothing to rotate: one of its 4 frequencies takes kept=0.25 or more"),
        ("rope:levels=3", "4 pairs of dimensions, which cannot be with 3 levels. Take heads of a multiple of 6"),
        ("rope:levels=0", "levels are 1 or more: got 0"),
        (
            "rope:levels=2",
            "uses 2 levels of ids, and Sequential positions have 1. Write .* rope:levels=2@coupled:levels=2",
        ),
        ("rope:base=0", "above 0, got 0.0"),
        ("rope-interpolated", "needs trained"),
        ("rope-yarn", "needs trained"),
        ("rope-yarn:trained=1", "2 or more: got 1"),
        ("rope-yarn:trained=10,base=1", "a base above 1, got 1.0"),
        ("rope-yarn:trained=10,fast=1", "0 < slow < fast, got slow=1.0 and fast=1.0"),
        ("rope-llama3:trained=10,low=5", "0 <= low < high, got low=5.0 and high=4.0"),
        ("rope-ntk:trained=10,alpha=0.5", "alpha is 1 or more, got 0.5"),
        ("rope-ntk:trained=10,share=0.25", "rotate 4 or more, got 2"),
        ("rope-llama3:trained=10,stretch=0.5", "stretch is 1 or more: got 0.5"),
        ("rope-yarn:trained=10,sharpness=0", "sharpness is above 0: got 0.0"),
        ("rope-long:trained=10", "needs factors"),
        ("rope-long:trained=10,factors=1-2", "4 numbers above 0.*1-2-3-4: got 1-2"),
        ("rope-long:trained=10,factors=1-2-0-4", "4 numbers above 0"),
        ("rope-long:trained=10,factors=1-2-x-4", "4 numbers above 0.*got 1-2-x-4"),
        ("xpos:scale_base=0", "above 0, got 0.0"),
        ("xpos@randomized:span=100000", "Take a scale_base of 1566 or more"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        arith.encoding(spec, width=32, heads=4, layers=1, tokens=40)


def test_odd_widths_are_refused() -> None:
    for make in (RoPE, lambda width: YaRN(width, 40, 10), lambda width: XPos(width, 40)):
        with pytest.raises(ValueError, match="must be even, got 7"):
            make(7)


def test_levels_that_a_scheme_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="RoPE uses 2 levels of ids, and Sequential positions have 1"):
        Part(RoPE(8, levels=2), Sequential())
