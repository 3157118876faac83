"""What acts at the input: sinusoids, CAPE, random embeddings; and the integers that they hash."""

import math
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings
from x_transformers.x_transformers import ScaledSinusoidalEmbedding

import arith
from arith.config.schema import ModelConfig
from arith.data.dataset import Dataset
from arith.encodings.base import Positions
from arith.encodings.by_token import CAPE, Tags
from arith.encodings.draws import BITS, WORDS, Use, draw30, mix30, normal, uniform
from arith.encodings.positions import Prompt, Scheme
from arith.encodings.random_embedding import Marking, RandomEmbedding
from arith.encodings.sinusoidal import Sinusoidal
from arith.errors import UsageError
from arith.model.transformer import Transformer
from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.stream import sample_keys

CPU = torch.device("cpu")
DATA = Dataset(Mixture([Source(Addition(), Uniform(3, 3), 0, "train")]), NAMED["padded-reversed"])


def at(ids: Tensor) -> Positions:
    return Positions(ids[None], ids[None])


def keys(count: int, split: str = "train") -> Tensor:
    return torch.from_numpy(sample_keys(0, split, 0, count))  # type: ignore[arg-type]


def ids_of(scheme: Scheme, samples: int, tokens: int) -> Tensor:
    prompt: Prompt = DATA.batch(0, samples, CPU).prompt
    return scheme.full(prompt, torch.zeros(samples, tokens).long(), keys(samples), tokens)[0]


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


# CAPE


def test_cape_without_chance_is_the_index() -> None:
    ids = ids_of(CAPE(resolution=7, shift=0.0, jitter=0.0, scale=1.0), samples=3, tokens=20)
    assert torch.equal(ids, 7 * torch.arange(1, 21).expand(3, -1))


def test_cape_shifts_whole_samples_evenly() -> None:
    moved = ids_of(CAPE(resolution=1000, shift=4.0, jitter=0.0, scale=1.0), samples=4000, tokens=5)
    shift = moved - 1000 * torch.arange(1, 6)
    assert torch.equal(shift, shift[:, :1].expand(-1, 5))
    assert stats.kstest(shift[:, 0].numpy() / 4000, "uniform").pvalue > 0.001


def test_cape_jitters_each_token_evenly_and_by_itself() -> None:
    moved = ids_of(CAPE(resolution=10_000, shift=0.0, jitter=0.5, scale=1.0), samples=2000, tokens=5)
    jitter = moved - 10_000 * torch.arange(1, 6)
    for token in range(5):
        assert stats.kstest(jitter[:, token].numpy() / 5000, "uniform").pvalue > 0.001
    assert largest_correlation(jitter.double()) < 4.5 / math.sqrt(2000)


def test_cape_scales_whole_samples_evenly_in_the_logarithm() -> None:
    moved = ids_of(CAPE(resolution=100_000, shift=0.0, jitter=0.0, scale=2.0), samples=4000, tokens=3)
    scale = moved / (100_000 * torch.arange(1, 4))
    assert torch.allclose(scale, scale[:, :1], rtol=1e-4)
    assert stats.kstest((scale[:, 0].log2().numpy() + 1) / 2, "uniform").pvalue > 0.001


def test_what_cape_draws_for_a_sample_is_independent() -> None:
    samples = 4000
    shift, scale, jitter = (
        uniform(draw30(keys(samples), use, torch.full((samples,), place)))
        for use, place in [(Use.SHIFT, 0), (Use.SCALE, 0), (Use.JITTER, 1)]
    )
    assert largest_correlation(torch.stack([shift, scale, jitter], dim=1)) < 4 / math.sqrt(samples)


@pytest.mark.parametrize("scheme", [CAPE(), CAPE(resolution=3, scale=3.0, shift=0.0), CAPE(shift=500.0)], ids=str)
def test_cape_keeps_the_order_and_its_bounds(scheme: CAPE) -> None:
    ids = ids_of(scheme, samples=3000, tokens=30)
    assert (ids[:, 1:] >= ids[:, :-1]).all()
    assert (ids[:, 2:] > ids[:, :-2]).float().mean() > 0.8
    assert ids.min() >= max(1, math.floor(scheme.resolution / scheme.scale))
    highest = scheme.highest(30, 9)
    assert 0.95 * highest < ids.max() <= highest


def test_cape_and_its_resolution_are_sinusoids_of_about_the_index() -> None:
    """Of the same position, whatever the resolution."""
    coarse, fine = (f"sinusoidal@cape:resolution={r}" for r in (100, 10_000))
    parts = [arith.encoding(spec, width=8, heads=1, layers=1) for spec in (coarse, fine)]
    batch = DATA.batch(0, 5, CPU)
    x = torch.zeros(*batch.tokens.shape, 8)
    found = [
        own.embed(x, [Positions(i, i) for i in own.full(batch.prompt, batch.tokens, batch.key, 40)]) for own in parts
    ]
    torch.testing.assert_close(*found, rtol=0, atol=0.011)
    assert not torch.allclose(*found, rtol=0, atol=1e-3)


# Random embedding


def test_tags_differ_within_a_sequence_and_between_sequences() -> None:
    ids = ids_of(Tags(), samples=300, tokens=400)
    assert all(len(row.unique()) == 400 for row in ids)
    assert ids.unique().numel() > 300 * 400 * 0.999
    assert ids.min() >= 1
    assert ids.max() <= Tags().highest(400, 9) < 2**31
    assert stats.kstest(ids.flatten().numpy() / WORDS, "uniform").pvalue > 0.001


def test_tags_tell_nothing_of_the_order() -> None:
    ids = ids_of(Tags(), samples=4000, tokens=8).double()
    assert largest_correlation(ids) < 4.5 / math.sqrt(4000)
    assert abs(float((ids[:, 1:] > ids[:, :-1]).double().mean()) - 0.5) < 0.01


def test_tags_of_training_and_tests_differ() -> None:
    train, test = (draw30(keys(500, split), Use.TAGS, torch.ones(500).long()) for split in ("train", "test"))
    assert torch.cat([train, test]).unique().numel() == 1000


@pytest.mark.parametrize("scheme", [Tags(), CAPE()], ids=str)
def test_ids_step_by_step_for_many_samples_at_once(scheme: Scheme) -> None:
    batch = DATA.batch(0, 50, CPU)
    full = scheme.full(batch.prompt, batch.tokens, batch.key, 40)
    cut = batch.shortest_prompt
    prompt = type(batch.prompt)(**{**vars(batch.prompt), "tokens": batch.tokens[:, :cut]})
    ids, state = scheme.start(prompt, batch.key, 40)
    parts = [ids]
    for token in batch.tokens[:, cut:].T:
        ids, state = scheme.step(token, state)
        parts.append(ids)
    assert torch.equal(torch.cat(parts, dim=2), full)
    swapped, _ = scheme.step(token[[1, 0]], type(state)(*(own[[1, 0]] for own in state)))
    assert torch.equal(swapped, scheme.step(token[:2], type(state)(*(own[:2] for own in state)))[0][:, [1, 0]])


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


def test_no_generator_is_asked() -> None:
    state = torch.get_rng_state()
    encoding = arith.encoding("random-embedding:at=heads@tags+cape", width=32, heads=4, layers=2)
    batch = DATA.batch(0, 5, CPU)
    model = Transformer(ModelConfig(layers=2, width=32, heads=4, hidden=48), 20, encoding)
    before = torch.get_rng_state()
    model(batch.tokens, encoding.full(batch.prompt, batch.tokens, batch.key, 40))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(state, before)  # the model's weights were drawn


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


# All


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sinusoidal:base=0", "base is above 0, got 0.0"),
        ("sinusoidal:resolution=3", "has no setting 'resolution'"),
        ("nope@cape:shift=-1", "shift is 0 or more, got -1.0"),
        ("nope@cape:shift=nan", "cape:shift is a finite number, got 'nan'"),
        ("nope@cape:scale=inf", "cape:scale is a finite number, got 'inf'"),
        ("nope@cape:jitter=1.5", "jitter is from 0 to 1, where tokens keep their order, got 1.5"),
        ("nope@cape:scale=0.9", "scale is 1 or more, and as often divides as multiplies, got 0.9"),
        ("nope@cape:resolution=2,scale=3", "got resolution=2 and scale=3.0"),
        ("random-embedding:at=output", "one of input, hidden, heads; got 'output'"),
        ("random-embedding:how=concatenate", "one of overwrite, add; got 'concatenate'"),
        ("random-embedding:same_in_heads=false", "differ between heads only at=heads, got at=input"),
        ("random-embedding:same_in_layers=false", "differ between layers at=hidden or at=heads, got at=input"),
        (
            "random-embedding:share=1",
            "1 to 31 of 32 dimensions with how=overwrite, and a share of 1.0 is 32 of them; some",
        ),
        ("random-embedding:share=0", "share is above 0 and at most 1, got 0.0"),
        ("random-embedding:how=add,share=1.5", "at most 1"),
        ("random-embedding:at=heads,share=0.01", "1 to 7 of 8 dimensions with how=overwrite, and a share of 0.01 is 0"),
        ("random-embedding:share=nan", "a finite number, got 'nan'"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("+", r"\+")):
        arith.encoding(spec, width=32, heads=4, layers=2)


def test_widths_and_words_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="the model's width must be even, got 7"):
        Sinusoidal(7)
    with pytest.raises(ValueError, match="at input, hidden or heads, got 'output'"):
        RandomEmbedding(8, 2, 1, at="output")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="overwrite or add, got 'mix'"):
        RandomEmbedding(8, 2, 1, how="mix")  # type: ignore[arg-type]


def test_two_of_a_kind_share_no_state() -> None:
    x, positions = torch.randn(1, 5, 8), at(torch.arange(1, 6)[None])
    pairs = [
        (Sinusoidal(8), Sinusoidal(8, base=10.0, scale=2.0, resolution=3)),
        (RandomEmbedding(8, 2, 1), RandomEmbedding(8, 2, 1, how="add", share=0.25, scale=3.0)),
    ]
    for one, other in pairs:
        before = one.embed(x, positions)
        assert not torch.equal(other.embed(x, positions), before)
        assert torch.equal(one.embed(x, positions), before)
        assert not one.state_dict()


def test_nothing_here_has_a_limit() -> None:
    for spec in ("sinusoidal", "random-tags", "cape"):
        arith.encoding(spec, width=32, heads=4, layers=1, tokens=10).check_reach(sys.maxsize // 1000, 10)
