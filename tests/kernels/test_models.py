"""Whole models through the fused kernels: which encodings take them, and that nothing but rounding differs."""

import functools

import pytest
import torch

import arith
from arith.config.schema import ModelConfig
from arith.data.dataset import Dataset
from arith.kernels import windowed
from arith.kernels.attention import attention
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
    "(t5+kerple)@randomized:span=64", "alibi+relative@coupled", "learned@abacus+rope@segments",
)  # fmt: skip
PLAIN = {
    "shaw": "KeyTable",
    "transformer-xl": "KeyTable",
    "cope": "ScoreMod",
    "dape": "ScoreMod",
    "forgetting": "Decay",
}


def built(spec: str) -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(layers=2, width=32, heads=2, key_heads=1, hidden=48)
    encoding = arith.encoding(spec, width=32, heads=2, layers=2, tokens=40, digits=8)
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


@pytest.mark.parametrize("spec", PLAIN)
def test_other_encodings_say_why_they_are_not_fused(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=PLAIN[spec]):
        ran(spec, "triton", monkeypatch)


def test_fused_model_compiles_as_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "attention", functools.partial(attention, backend="triton"))
    made = built("(t5+kerple)@randomized:span=64")
    tokens, ids = torch.randint(0, 17, (3, 12)), torch.randint(1, 64, (1, 3, 12)).sort(2)[0]
    compiled = torch.compile(made, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(tokens, (ids,)), made(tokens, (ids,)))
