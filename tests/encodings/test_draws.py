"""The integers that encodings hash for their draws, against plain Python."""

import torch
from torch import Tensor

from arith.encodings.draws import BITS, WORDS, Use, draw30, mix30, normal
from arith.tasks.stream import sample_keys


def keys(count: int, split: str = "train") -> Tensor:
    return torch.from_numpy(sample_keys(0, split, 0, count))  # type: ignore[arg-type]


# Hashing
def plain_mixed(word: int) -> int:
    word = (word ^ word >> 16) * 0x21F0AAAD % 2**30
    word = (word ^ word >> 15) * 0x335A2D97 % 2**30
    return word ^ word >> 15


def test_mixing_is_what_plain_integers_give() -> None:
    """The vectors of a trained model depend on it."""
    words = [0, 1, 2, 12345, 2**29, 2**30 - 2, 2**30 - 1]
    assert mix30(torch.tensor(words)).tolist() == [plain_mixed(word) for word in words]
    key, place = 2**62 + 987654321987654321, 17
    expected = plain_mixed(plain_mixed((place ^ key) % 2**30) ^ (key >> 30 ^ Use.SHIFT) % 2**30)
    assert int(draw30(torch.tensor(key), Use.SHIFT, torch.tensor(place))) == expected


def test_no_product_overflows() -> None:
    assert (WORDS - 1) * max(0x21F0AAAD, 0x335A2D97) < 2**63


def test_mixing_is_one_to_one() -> None:
    for start in (0, WORDS - 2**20):
        assert len(mix30(torch.arange(start, start + 2**20)).unique()) == 2**20


def test_every_bit_of_a_word_changes_every_bit_of_the_mixed_half_the_time() -> None:
    words = torch.randint(0, WORDS, (50_000,), generator=torch.Generator().manual_seed(0))
    for changed in range(BITS):
        differ = mix30(words) ^ mix30(words ^ (1 << changed))
        shares = torch.stack([(differ >> bit & 1).double().mean() for bit in range(BITS)])
        assert (shares - 0.5).abs().max() < 0.012, changed


def test_uses_and_samples_have_numbers_of_their_own() -> None:
    place = torch.arange(200)[None]
    found = [draw30(keys(200)[:, None], use, place) for use in Use]
    assert torch.stack(found).unique().numel() > len(Use) * 200 * 200 * 0.999
    high = keys(200) & ~(WORDS - 1)  # keys that differ in their high bits only
    assert len(draw30(high, Use.TAGS, torch.zeros_like(high)).unique()) == 200


def test_normal_numbers_are_finite_at_the_ends() -> None:
    ends = torch.tensor([0, 0, WORDS - 1, WORDS - 1, 0, WORDS - 1, 0, WORDS - 1])
    for dtype in (torch.float32, torch.float64):
        found = normal(ends, dtype)
        assert found.dtype == dtype
        assert found.isfinite().all()
        assert found.abs().max() < 5.8
