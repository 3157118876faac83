"""CAPE and tags: ids that are drawn for each token."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

import arith
from arith.data.dataset import Dataset
from arith.encodings.base import Positions
from arith.encodings.by_token import CAPE, Tags
from arith.encodings.draws import WORDS, Use, draw30, uniform
from arith.encodings.positions import Prompt, Scheme
from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.stream import sample_keys

CPU = torch.device("cpu")
DATA = Dataset(Mixture([Source(Addition(), Uniform(3, 3), 0, "train")]), NAMED["padded-reversed"])


def keys(count: int, split: str = "train") -> Tensor:
    return torch.from_numpy(sample_keys(0, split, 0, count))  # type: ignore[arg-type]


def ids_of(scheme: Scheme, samples: int, tokens: int) -> Tensor:
    prompt: Prompt = DATA.batch(0, samples, CPU).prompt
    return scheme.full(prompt, torch.zeros(samples, tokens).long(), keys(samples), tokens)[0]


def largest_correlation(columns: Tensor) -> float:
    return float((torch.corrcoef(columns.T) - torch.eye(columns.shape[1])).abs().max())


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
