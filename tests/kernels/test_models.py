"""Whole models through the fused kernels: which encodings take them, and that nothing but rounding differs."""

import functools
from typing import Any

import pytest
import torch

import arith
from arith.catalogue.entries import ALIASES, ENCODINGS
from arith.catalogue.examples import example
from arith.config.schema import ModelConfig
from arith.data.batch import Batch
from arith.data.dataset import Dataset
from arith.encodings import compose
from arith.gallery.kernels import kernels_of
from arith.kernels import windowed
from arith.kernels.attention import attention
from arith.kernels.routing import route
from arith.model import block as model_module
from arith.model.cache import Cache
from arith.model.transformer import Transformer
from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

FUSED = (
    "nope", "learned", "rope", "alibi:learned=true", "t5", "kerple", "fire:threshold=8", "sandwich", "hard-alibi",
    "window:left=3", "relative", "coupled-window", "t5:bidirectional=true@coupled", "alibi@randomized:span=64",
    "(t5+kerple)@randomized:span=64", "alibi+relative@coupled", "learned@abacus+rope@segments", "shaw:radius=4",
    "transformer-xl", "relative-logits", "grape",
)  # fmt: skip
PLAIN = {
    "pope": "take heads of one width for queries and values",
    "cope": "ScoreMod",
    "dape": "ScoreMod",
    "forgetting": "Decay",
}
# Biases by distance, on sequential positions.
BY_TOKEN = ("alibi", "hard-alibi", "kerple", "relative", "sandwich", "t5", "t5@sequential:origin=random,span=9")


def built(spec: str, tokens: int = 40, digits: int = 8) -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(layers=2, width=32, heads=2, key_heads=1, hidden=48)
    encoding = arith.encoding(spec, width=32, heads=2, layers=2, tokens=tokens, digits=digits)
    made = Transformer(config, 17, encoding)
    for parameter in made.encoding.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def ran(spec: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, list[torch.Tensor]]:
    monkeypatch.setattr(model_module, "attention", functools.partial(attention, backend=backend))
    data = Dataset(Mixture([Source(Addition(), Uniform(1, 4), 0, "train")]), NAMED["padded-reversed"])
    batch = data.batch(0, 5, torch.device("cpu"))
    made = built(spec)
    ids = made.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
    logits = made(batch.tokens[:, :-1], tuple(i[:, :, :-1] for i in ids), queries=batch.queries)
    logits.square().sum().backward()
    return logits.detach(), [p.grad for p in made.parameters() if p.grad is not None]


@pytest.mark.parametrize("spec", FUSED)
def test_models_are_the_same_through_the_kernels(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, gradients = ran(spec, "triton", monkeypatch)
    plain, plain_gradients = ran(spec, "reference", monkeypatch)
    torch.testing.assert_close(logits, plain, rtol=1e-4, atol=1e-4)
    assert len(gradients) == len(plain_gradients)
    for ours, theirs in zip(gradients, plain_gradients, strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm() + 1e-6


@pytest.mark.parametrize("spec", ["coupled-window", "window:left=5+t5"])
def test_narrow_windows_change_nothing_far_beyond_a_tile(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one pass, where blocks of queries see few keys, and decoding, where a query does."""
    data = Dataset(Mixture([Source(Addition(), Uniform(120, 120), 0, "train")]), NAMED["padded-reversed"])
    batch = data.batch(0, 2, torch.device("cpu"))
    assert batch.tokens.shape[1] > windowed.SHORTEST
    made = built(spec)
    ids = made.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
    with torch.no_grad():
        ours = made(batch.tokens, ids)
        cache, cut = Cache(), batch.tokens.shape[1] - 4
        parts = [made(batch.tokens[:, :cut], tuple(own[:, :, :cut] for own in ids), cache=cache)]
        for place in range(cut, batch.tokens.shape[1]):
            new = tuple(own[:, :, place : place + 1] for own in ids)
            parts.append(made(batch.tokens[:, place : place + 1], new, cache=cache))
        monkeypatch.setattr(model_module, "attention", functools.partial(attention, backend="reference"))
        plain = made(batch.tokens, ids)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat(parts, dim=1), plain, rtol=1e-4, atol=1e-4)


def additions(digits: int, rows: int = 2) -> Batch:
    data = Dataset(Mixture([Source(Addition(), Uniform(digits, digits), 0, "train")]), NAMED["padded-reversed"])
    return data.batch(0, rows, torch.device("cpu"))


def kernels_in(made: Transformer, batch: Batch, decoded: int, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The kernels that the last layer takes in training, or for the last tokens alone with all others in a cache."""
    seen: list[str] = []

    def watched(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **options: Any) -> torch.Tensor:
        try:
            seen.append(route(q, k, v, options["terms"], "triton").kernel)
        except ValueError:
            seen.append("reference")
        return attention(q, k, v, **options)

    monkeypatch.setattr(model_module, "attention", watched)
    if not decoded:
        made.loss(batch)
        return {seen[-1]}
    cache, ids = Cache(), batch.placed_by(made.encoding)
    for part in (slice(None, -decoded), slice(-decoded, None)):
        seen.clear()
        made(batch.tokens[:, part], tuple(own[:, :, part] for own in ids), cache=cache)
    return {seen[-1]}


@pytest.mark.parametrize("spec", [*ENCODINGS.names(), *ALIASES, *BY_TOKEN[-1:]])
def test_every_encoding_takes_the_kernel_that_the_table_says(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = example(spec)
    for digits, (listed, _) in zip((4, 60), kernels_of(spec), strict=True):
        batch = additions(digits)
        made = built(spec, int(batch.capacity), digits + 1)
        for decoded in (0, 1, 3):
            assert kernels_in(made, batch, decoded, monkeypatch) == {listed}
        if spec in BY_TOKEN:
            assert listed == ("tile" if digits == 4 else "token table")


@pytest.mark.parametrize("spec", ["t5", "(kerple+window:left=20)@sequential:origin=random,span=9"])
def test_long_models_by_token_and_by_id_are_the_same(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits and gradients, in float64, and logits of decoding with a cache."""
    batch = additions(42, rows=1)
    assert batch.tokens.shape[1] > 128
    made = built(spec, int(batch.capacity), 43).double()
    found = []
    for backend, by_token in (("reference", True), ("triton", True), ("triton", False)):
        monkeypatch.setattr(model_module, "attention", functools.partial(attention, backend=backend))
        monkeypatch.setattr(compose, "indexes_tokens", lambda scheme, by_token=by_token: by_token)
        ids = batch.placed_by(made.encoding)
        logits = made(batch.tokens, ids, queries=50)
        gradients = torch.autograd.grad(logits.square().sum(), list(made.parameters()))
        cache, cut = Cache(), batch.tokens.shape[1] - 2
        with torch.no_grad():
            steps = [
                made(batch.tokens[:, part], tuple(own[:, :, part] for own in ids), cache=cache)[:, -1]
                for part in (slice(None, cut), slice(cut, cut + 1), slice(cut + 1, None))
            ]
        torch.testing.assert_close(torch.stack(steps, 1), logits[:, -3:])
        found.append([logits, *gradients])
    for ours in found[1:]:
        for own, truth in zip(ours, found[0], strict=True):
            assert (own - truth).norm() <= 1e-7 * truth.norm()


@pytest.mark.parametrize("spec", PLAIN)
def test_other_encodings_say_why_they_are_not_fused(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=PLAIN[spec]):
        ran(spec, "triton", monkeypatch)


@pytest.mark.parametrize("spec", ["(t5+kerple)@randomized:span=64", "t5"])
def test_fused_model_compiles_as_one_graph(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "attention", functools.partial(attention, backend="triton"))
    made = built(spec)
    tokens, drawn = torch.randint(0, 17, (3, 12)), torch.randint(1, 64, (1, 3, 12)).sort(2)[0]
    ids = torch.arange(1, 13)[None, None] if spec == "t5" else drawn
    compiled = torch.compile(made, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(tokens, (ids,)), made(tokens, (ids,)))
