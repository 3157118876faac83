"""RoPE's relatives against other implementations and against the papers' formulas in plain Python."""

import cmath
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import arith
from arith.encodings.base import Positions
from arith.encodings.compose import Part
from arith.encodings.positions import Sequential
from arith.encodings.rope import RoPE
from arith.encodings.rope_scaled import NTK, Interpolated, Llama3, LongRoPE, Scaled, YaRN
from arith.encodings.xpos import XPos
from arith.errors import UsageError

SCALED = [
    Interpolated(8, highest=90, trained=30),
    NTK(8, highest=90, trained=30),
    NTK(8, highest=90, trained=30, alpha=2.0),
    YaRN(8, highest=90, trained=30),
    Llama3(8, highest=90, trained=30),
    LongRoPE(8, highest=90, trained=30, factors=[1.0, 1.5, 2.0, 4.0]),
]
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


def random_ids(highest: int, levels: int = 1, tokens: int = 9) -> Tensor:
    """Any order, one id twice, one of them 0."""
    ids = torch.randint(1, highest + 1, (levels, 3, tokens), generator=torch.Generator().manual_seed(0))
    ids[:, :, 4], ids[:, :, 5] = ids[:, :, 2], 0
    return ids


def random_heads(width: int, tokens: int = 9, seed: int = 0) -> Tensor:
    return torch.randn(3, 2, tokens, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scores(encoding: RoPE, q: Tensor, k: Tensor, ids: Tensor) -> Tensor:
    q, k = encoding.rotate(q, k, Positions(ids, ids))
    return q @ k.mT


def double(encoding: RoPE) -> RoPE:
    """The same, computed in float64."""
    copied = RoPE.__new__(type(encoding))
    copied.__dict__ = {**encoding.__dict__, "_buffers": dict(encoding._buffers)}
    return copied.double()


def plain_rope(width: int, base: float = 10000.0) -> list[float]:
    return [base ** (-2 * place / width) for place in range(width // 2)]


def complex_scores(
    frequencies: list[float], q: Tensor, k: Tensor, ids: Tensor, decay: list[float] | None = None
) -> Tensor:
    """Scores as sums over pairs of dimensions of Re(q conj(k) e^(i f (m - n))) decay^(m - n); the rest unrotated."""
    pairs = len(frequencies)
    out = (q[..., 2 * pairs :] @ k[..., 2 * pairs :].mT).tolist()
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for m in range(q.shape[2]):
                for n in range(k.shape[2]):
                    back = int(ids[b, m] - ids[b, n])
                    for i, frequency in enumerate(frequencies):
                        asking = complex(q[b, h, m, i], q[b, h, m, i + pairs])
                        answering = complex(k[b, h, n, i], k[b, h, n, i + pairs])
                        turned = asking * answering.conjugate() * cmath.exp(1j * frequency * back)
                        out[b][h][m][n] += turned.real * (decay[i] ** back if decay else 1)
    return torch.tensor(out, dtype=torch.float64)


def close(found: Tensor, expected: Tensor) -> None:
    """To a millionth of the largest."""
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


def hugging_face(kind: str, width: int, trained: int, highest: int, **settings: Any) -> tuple[Tensor, float]:
    """Frequencies and factor on queries and keys; in float32."""
    config = LlamaConfig(hidden_size=4 * width, num_attention_heads=4, head_dim=width, max_position_embeddings=highest)
    config.rope_parameters = {
        "rope_type": kind,
        "rope_theta": 10000.0,
        "original_max_position_embeddings": trained,
        "factor": highest / trained,
        **settings,
    }
    if kind == "dynamic":
        config.max_position_embeddings = trained
    return ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=highest)


def same_as_hugging_face(encoding: Scaled, frequencies: Tensor, factor: float) -> None:
    assert encoding.frequencies.dtype == torch.float32
    torch.testing.assert_close(encoding.frequencies, frequencies, rtol=1e-6, atol=0)
    assert encoding.attention_factor == pytest.approx(factor, rel=1e-12)


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


def test_xpos_turns_by_its_base() -> None:
    expected = torch.tensor([30.0 ** (-2 * place / 8) for place in range(4)])
    torch.testing.assert_close(XPos(8, 90, base=30.0).frequencies, expected, rtol=1e-6, atol=0)


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


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize(("width", "trained", "highest"), [(8, 20, 30), (64, 200, 4000), (128, 2048, 32768)])
def test_scalings_against_hugging_face(width: int, trained: int, highest: int, share: float) -> None:
    shape = {"head_width": width, "highest": highest, "trained": trained, "share": share}

    def theirs(kind: str, **settings: Any) -> tuple[Tensor, float]:
        return hugging_face(kind, width, trained, highest, partial_rotary_factor=share, **settings)

    same_as_hugging_face(Interpolated(**shape), *theirs("linear"))
    for alpha in (1.0, 2.5):
        same_as_hugging_face(NTK(**shape, alpha=alpha), *theirs("dynamic", factor=alpha))
    same_as_hugging_face(YaRN(**shape), *theirs("yarn"))
    same_as_hugging_face(YaRN(**shape, fast=8, slow=0.5), *theirs("yarn", beta_fast=8, beta_slow=0.5))
    same_as_hugging_face(Llama3(**shape), *theirs("llama3", low_freq_factor=1, high_freq_factor=4))
    same_as_hugging_face(Llama3(**shape, low=2, high=9), *theirs("llama3", low_freq_factor=2, high_freq_factor=9))
    factors = [1 + 0.3 * place for place in range(int(width * share) // 2)]
    long = theirs("longrope", long_factor=factors, short_factor=[1.0] * len(factors))
    same_as_hugging_face(LongRoPE(**shape, factors=factors), *long)


def test_ntk_against_x_transformers() -> None:
    peer = pytest.importorskip("x_transformers.x_transformers")
    theirs = peer.RotaryEmbedding(16, base_rescale_factor=7.0)  # in float32
    torch.testing.assert_close(NTK(16, 70, 10).frequencies, theirs.inv_freq, rtol=1e-6, atol=0)


def test_scalings_by_hand() -> None:
    width, trained, highest = 16, 50, 300
    s, rope = highest / trained, plain_rope(width)
    ntk = plain_rope(width, 10000.0 * s ** (width / (width - 2)))

    def expect(encoding: Scaled, frequencies: list[float]) -> None:
        torch.testing.assert_close(encoding.frequencies, torch.tensor(frequencies), rtol=1e-6, atol=0)

    expect(Interpolated(width, highest, trained), [own / s for own in rope])
    expect(NTK(width, highest, trained), ntk)
    assert ntk[0] == rope[0]
    assert ntk[-1] == pytest.approx(rope[-1] / s)
    mixed = []
    for own in rope:
        turns = trained * own / (2 * math.pi)
        stays = 1 if turns > 4 else 0 if turns < 1 else (turns - 1) / 3
        mixed.append(stays * own + (1 - stays) * own / s)
    expect(Llama3(width, highest, trained), mixed)
    yarn = YaRN(width, 6000, 1000)
    ends = [math.log(1000 / (2 * math.pi * turns)) / math.log(10000) * 8 for turns in (32, 1)]
    begin, end = math.floor(ends[0]), math.ceil(ends[1])
    assert 0 < begin < end < 8
    ramp = [min(max((place - begin) / (end - begin), 0), 1) for place in range(8)]
    expect(yarn, [own * (1 - up) + own / 6 * up for own, up in zip(rope, ramp, strict=True)])
    assert yarn.attention_factor == pytest.approx(0.1 * math.log(6) + 1)
    factors = [1, 1.5, 2, 3, 4, 5, 6, 6]
    long = LongRoPE(width, highest, trained, factors="1-1.5-2-3-4-5-6-6")
    expect(long, [own / factor for own, factor in zip(rope, factors, strict=True)])
    assert long.attention_factor == pytest.approx(math.sqrt(1 + math.log(6) / math.log(50)))


@pytest.mark.parametrize("encoding", SCALED, ids=name)
def test_scaled_scores(encoding: Scaled) -> None:
    q, k, ids = random_heads(8), random_heads(8, seed=1), random_ids(90)
    expected = complex_scores(encoding.frequencies.tolist(), q, k, ids[0]) * encoding.attention_factor**2
    close(scores(double(encoding), q, k, ids), expected)


@pytest.mark.parametrize("encoding", SCALED, ids=name)
def test_what_is_not_stretched_is_rope(encoding: Scaled) -> None:
    factors = {"factors": "1-2-3-4"} if isinstance(encoding, LongRoPE) else {}
    for highest in (30, 12):
        unstretched = type(encoding)(8, highest=highest, trained=30, **factors)
        assert torch.equal(unstretched.frequencies, RoPE(8).frequencies)
        assert unstretched.attention_factor == 1
    assert not torch.equal(encoding.frequencies, RoPE(8).frequencies)


@pytest.mark.parametrize("trained", [2, 3, 6])
def test_yarn_interpolates_all_where_nothing_turns_once(trained: int) -> None:
    """As the paper has it; Hugging Face leaves the first or all frequencies as they are."""
    encoding = YaRN(32, highest=8 * trained, trained=trained)
    torch.testing.assert_close(encoding.frequencies, RoPE(32).frequencies / 8)


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


def test_the_scheme_gives_the_length_to_reach() -> None:
    shape = {"width": 8, "heads": 2, "layers": 1, "tokens": 60, "digits": 19}

    def stretch(text: str) -> float:
        part = arith.encoding(text, **shape).parts[0]
        assert isinstance(part, Scaled)
        return part.scale

    assert stretch("rope-ntk:trained=10") == 6
    assert stretch("rope-ntk:trained=10@coupled") == 2
    with pytest.raises(UsageError, match="has no setting 'highest'"):
        stretch("rope-ntk:trained=10,highest=40")


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
