"""RoPE for longer inputs, against other implementations and by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import arith
from arith.encodings.rope import RoPE
from arith.encodings.rope_scaled import NTK, Interpolated, Llama3, LongRoPE, Scaled, YaRN
from arith.errors import UsageError
from tests.encodings.rotating import (
    SCALED,
    close,
    complex_scores,
    double,
    hugging_face,
    plain_rope,
    random_heads,
    random_ids,
    scores,
)


def name(encoding: RoPE) -> str:
    return type(encoding).__name__


def same_as_hugging_face(encoding: Scaled, frequencies: Tensor, factor: float) -> None:
    assert encoding.frequencies.dtype == torch.float32
    torch.testing.assert_close(encoding.frequencies, frequencies, rtol=1e-6, atol=0)
    assert encoding.attention_factor == pytest.approx(factor, rel=1e-12)


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
