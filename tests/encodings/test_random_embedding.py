"""Random vectors for ids: what they are, and where they act."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

import arith
from arith.data.dataset import Dataset
from arith.encodings.base import Positions
from arith.encodings.random_embedding import Marking, RandomEmbedding
from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

CPU = torch.device("cpu")
DATA = Dataset(Mixture([Source(Addition(), Uniform(3, 3), 0, "train")]), NAMED["padded-reversed"])


def at(ids: Tensor) -> Positions:
    return Positions(ids[None], ids[None])


def vectors(count: int, dimensions: int, **settings: Any) -> Tensor:
    """Those of ids 1 .. count."""
    encoding = RandomEmbedding(width=2 * dimensions, heads=1, layers=1, **settings)
    x = torch.zeros(1, count, 2 * dimensions, dtype=torch.float64)
    return encoding.embed(x, at(torch.arange(1, count + 1)[None]))[0, :, dimensions:]


def largest_correlation(columns: Tensor) -> float:
    return float((torch.corrcoef(columns.T) - torch.eye(columns.shape[1])).abs().max())


# Hashing
def plain_mixed(word: int) -> int:
    word = (word ^ word >> 16) * 0x21F0AAAD % 2**30
    word = (word ^ word >> 15) * 0x335A2D97 % 2**30
    return word ^ word >> 15


def test_random_vectors_are_normal_and_independent() -> None:
    """Of ids that follow one another, the hardest case for a hash."""
    count, dimensions = 20_000, 33  # of an odd number of dimensions, pairs of numbers leave one over
    found = vectors(count, dimensions)
    assert stats.kstest(found.flatten().numpy(), "norm").pvalue > 0.001
    assert abs(float(found.mean())) < 4 / math.sqrt(found.numel())
    assert abs(float(found.var()) - 1) < 4 * math.sqrt(2 / found.numel())
    assert largest_correlation(found) < 5 / math.sqrt(count)
    assert largest_correlation(found.square()) < 5 / math.sqrt(count)
    neighbours = (found[1:] * found[:-1]).sum(1) / math.sqrt(dimensions)
    assert abs(float(neighbours.mean())) < 4 / math.sqrt(count)
    assert float(neighbours.std()) == pytest.approx(1, abs=0.03)
    among = vectors(300, 2000)
    assert largest_correlation(among.T) < 5.5 / math.sqrt(2000)


@pytest.mark.parametrize("series", [0, 13])
def test_random_vectors_are_what_plain_numbers_give(series: int) -> None:
    """Models that were trained with them depend on it."""
    tag = 123_456_789
    words = [plain_mixed(plain_mixed(plain_mixed(tag) ^ series) ^ plain_mixed(place)) for place in range(4)]
    shares = [(word // 2**6 + 1) / 2**24 for word in words]
    radii, angles = [math.sqrt(-2 * math.log(share)) for share in shares[:2]], [2 * math.pi * s for s in shares[2:]]
    expected = [r * wave(a) for wave in (math.cos, math.sin) for r, a in zip(radii, angles, strict=True)][:3]
    found = Marking(3, "overwrite", 2.0)(torch.zeros(1, 5), torch.tensor([tag]), torch.tensor([series]))
    assert found[0].tolist() == pytest.approx([0, 0, *(2 * number for number in expected)], abs=1e-5)


def test_a_vector_is_its_ids_alone() -> None:
    encoding = RandomEmbedding(width=8, heads=1, layers=1)
    x = torch.randn(2, 3, 8)
    torch.manual_seed(1)
    found = encoding.embed(x, at(torch.tensor([[7, 5, 7], [9, 7, 6]])))[..., 4:]
    torch.manual_seed(2)
    again = RandomEmbedding(width=8, heads=2, layers=5).embed(x[:1, :1], at(torch.tensor([[7]])))[..., 4:]
    for row, place in [(0, 0), (0, 2), (1, 1)]:
        assert torch.equal(found[row, place], again[0, 0])
    assert len(found.flatten(0, 1).unique(dim=0)) == 4


@pytest.mark.parametrize("how", ["overwrite", "add"])
def test_the_last_share_of_the_dimensions_is_taken(how: Any) -> None:
    x = torch.randn(2, 4, 10)
    ids = torch.tensor([[3, 0, 8, 3], [1, 2, 0, 4]])
    encoding = RandomEmbedding(width=10, heads=1, layers=1, how=how, share=0.3, scale=0.1)
    found = encoding.embed(x, at(ids))
    assert torch.equal(found[..., :7], x[..., :7])
    assert torch.equal(found[ids == 0], x[ids == 0])
    unscaled = RandomEmbedding(width=10, heads=1, layers=1, share=0.3)
    pure = 0.1 * unscaled.embed(torch.zeros(2, 4, 10), at(ids))[..., 7:]
    expected = (pure if how == "overwrite" else x[..., 7:] + pure)[ids != 0]
    torch.testing.assert_close(found[..., 7:][ids != 0], expected)


def in_heads(encoding: RandomEmbedding, layer: int, heads: int = 4, key_heads: int = 2) -> tuple[Tensor, Tensor]:
    """Vectors in the queries and keys of two tokens."""
    q, k = torch.zeros(1, heads, 2, 8), torch.zeros(1, key_heads, 2, 8)
    q, k = encoding.at(layer).rotate(q, k, at(torch.tensor([[5, 6]])))
    return q[0, :, :, 4:], k[0, :, :, 4:]


def test_vectors_in_heads_are_shared_as_asked() -> None:
    settings: dict[str, Any] = {"width": 32, "heads": 4, "layers": 2, "at": "heads"}
    shared = RandomEmbedding(**settings)
    q, k = in_heads(shared, 0)
    assert (q == q[0]).all()
    assert (k == q[0]).all()
    assert torch.equal(in_heads(shared, 1)[0], q)
    assert not torch.equal(q[0, 0], q[0, 1])
    own = RandomEmbedding(**settings, same_in_heads=False)
    q, k = in_heads(own, 0)
    assert torch.equal(q, k.repeat_interleave(2, dim=0))
    assert not torch.isclose(k[0], k[1]).any()
    assert torch.equal(in_heads(own, 1)[0], q)
    layered = RandomEmbedding(**settings, same_in_layers=False)
    assert not torch.isclose(in_heads(layered, 0)[0], in_heads(layered, 1)[0]).any()
    both = RandomEmbedding(**settings, same_in_heads=False, same_in_layers=False)
    # Of two tokens, and id 5 in the sixth head is not id 6 in the fifth.
    everything = torch.cat([in_heads(both, layer, key_heads=4)[1].flatten(0, 1) for layer in range(2)])
    assert len(everything.unique(dim=0)) == 2 * 4 * 2


def test_vectors_act_where_asked_and_nowhere_else() -> None:
    x, q = torch.randn(1, 2, 8), torch.randn(1, 2, 2, 4)
    positions = at(torch.tensor([[3, 4]]))
    acts: dict[str, Callable[[RandomEmbedding], bool]] = {
        "input": lambda encoding: not torch.equal(encoding.embed(x, positions), x),
        "hidden": lambda encoding: not torch.equal(encoding.at(0).hidden(x, positions), x),
        "heads": lambda encoding: not torch.equal(encoding.at(0).rotate(q, q, positions)[0], q),
    }
    for asked in acts:
        encoding = RandomEmbedding(width=8, heads=2, layers=1, at=asked)  # type: ignore[arg-type]
        assert [place for place, act in acts.items() if act(encoding)] == [asked]


def test_hidden_vectors_are_shared_by_layers_or_not() -> None:
    x, positions = torch.zeros(1, 2, 8), at(torch.tensor([[3, 4]]))
    for same in (True, False):
        encoding = RandomEmbedding(width=8, heads=2, layers=2, at="hidden", same_in_layers=same)
        first, second = (encoding.at(layer).hidden(x, positions) for layer in range(2))
        assert torch.equal(first, second) == same


def test_random_tags_tell_tokens_apart_but_not_their_order() -> None:
    """Without the causal mask a transformer on tags would not see an exchange of two tokens and their tags."""
    encoding = arith.encoding("random-tags", width=16, heads=2, layers=1)
    batch = DATA.batch(0, 2, CPU)
    ids = encoding.full(batch.prompt, batch.tokens, batch.key, 40)
    x = torch.randn(*batch.tokens.shape, 16)
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(0))
    embedded = encoding.embed(x, [Positions(ids[0], ids[0])])
    moved = encoding.embed(x[:, order], [Positions(ids[0][..., order], ids[0][..., order])])
    assert torch.equal(moved, embedded[:, order])
    assert len(embedded[0, :, 8:].unique(dim=0)) == x.shape[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_random_vectors_are_the_same_on_a_gpu() -> None:
    encoding = RandomEmbedding(width=64, heads=1, layers=1)
    ids = torch.arange(1, 2000)[None]
    found = encoding.embed(torch.zeros(1, 1999, 64).cuda(), at(ids.cuda())).cpu()
    torch.testing.assert_close(found, encoding.embed(torch.zeros(1, 1999, 64), at(ids)), rtol=0, atol=1e-5)
