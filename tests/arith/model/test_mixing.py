"""Short convolutions along the tokens."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from arith.config.schema import TAPS, RunConfig
from arith.errors import UsageError
from arith.evaluation.attention import record_attention
from arith.experiment.experiment import Experiment
from arith.model.block import Attention
from arith.model.cache import Cache
from arith.model.mixing import ShortConvolution
from arith.model.transformer import Transformer
from arith.tasks import vocabulary

CPU = torch.device("cpu")
FULL = {"model": {"attention": "full"}, "evaluation": {"digits": "3", "suites": ["random"]}}


def parts(**values: object) -> tuple[Experiment, Transformer]:
    shape = {"layers": 2, "width": 32, "heads": 4, "hidden": 48, "mixing": "conv"}
    experiment = Experiment.of(RunConfig.of({"encoding": "rope", "model": shape}).with_values(values))
    model = experiment.model().double()
    for module in model.modules():
        if isinstance(module, ShortConvolution):
            nn.init.normal_(module.weight)
    return experiment, model


def test_it_is_torchs_depthwise_convolution() -> None:
    mixing = ShortConvolution(6)
    nn.init.normal_(mixing.weight)
    x = torch.randn(2, 9, 6)
    padded = functional.pad(x.transpose(1, 2), (TAPS - 1, 0))
    expected = functional.conv1d(padded, mixing.weight.flip(0).T[:, None], groups=6)
    torch.testing.assert_close(mixing(x), expected.transpose(1, 2))


def test_both_ways_it_is_torchs_convolution_with_taps_on_either_side() -> None:
    mixing = ShortConvolution(6, causal=False)
    assert mixing.ahead is not None
    for taps in (mixing.weight, mixing.ahead):
        nn.init.normal_(taps)
    x = torch.randn(2, 9, 6)
    kernel = torch.cat([mixing.weight.flip(0), mixing.ahead]).T[:, None]
    expected = functional.conv1d(x.transpose(1, 2), kernel, padding=TAPS - 1, groups=6)
    torch.testing.assert_close(mixing(x), expected.transpose(1, 2))


def test_padding_is_mixed_into_no_token_where_attention_is_full() -> None:
    values = {"task": "lego:clauses=3,asked=each", "format": "plain", "data": {"digits": "1-3"}, **FULL}
    experiment, model = parts(**values)
    for module in model.modules():
        if isinstance(module, ShortConvolution) and module.ahead is not None:
            nn.init.normal_(module.ahead)
    batch = experiment.training_data().batch(0, 4, CPU)
    tokens = batch.tokens
    padded = functional.pad(tokens, (0, 3), value=vocabulary.token(vocabulary.PAD))
    ids = tuple(model.encoding.full(batch.prompt, own, batch.key, 40) for own in (tokens, padded))
    torch.testing.assert_close(model(padded, ids[1])[:, : tokens.shape[1]], model(tokens, ids[0]))


def test_a_model_begins_as_without_it() -> None:
    config = RunConfig.of({"encoding": "rope", "model": {"layers": 2}})
    mixed = Experiment.of(config.with_values({"model": {"mixing": "conv"}})).model()
    experiment = Experiment.of(config)
    batch = experiment.training_data().batch(0, 8, CPU)
    torch.testing.assert_close(mixed.loss(batch), experiment.model().loss(batch))
    assert mixed.parameter_count() == experiment.model().parameter_count() + 2 * TAPS * 3 * 64


def test_later_tokens_and_padding_change_nothing() -> None:
    experiment, model = parts()
    batch = experiment.training_data().batch(0, 8, CPU)
    ids = batch.placed_by(model.encoding)
    changed = batch.tokens.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % 10
    before, after = model(batch.tokens, ids), model(changed, ids)
    torch.testing.assert_close(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_beams_take_the_last_tokens_along() -> None:
    experiment, model = parts()
    batch = experiment.test_data("random", 3).batch(0, 4, CPU)
    cut, order = batch.shortest_prompt, torch.tensor([2, 0, 0, 3])
    ids = batch.placed_by(model.encoding)
    whole = model(batch.tokens[order], tuple(own[:, order] if own.shape[1] > 1 else own for own in ids))
    cache = Cache()
    model(batch.tokens[:, :cut], tuple(own[..., :cut] for own in ids), cache=cache)
    cache.reorder(order)
    rest = tuple((own[:, order] if own.shape[1] > 1 else own)[..., cut:] for own in ids)
    torch.testing.assert_close(model(batch.tokens[order, cut:], rest, cache=cache), whole[:, cut:])


def test_maps_of_attention_are_of_mixed_queries() -> None:
    experiment, model = parts()
    batch = experiment.test_data("random", 3).batch(0, 2, CPU)
    mixed = record_attention(model, batch)
    for module in model.modules():
        if isinstance(module, Attention):
            module.mixing = nn.ModuleDict()
    assert not torch.allclose(record_attention(model, batch)[0], mixed[0], atol=1e-3)


def test_it_is_refused_where_columns_are_revised_at_once() -> None:
    trace = {"task": "multiplication", "encoding": "sliding-window", "format": "padded-reversed"}
    with pytest.raises(UsageError, match=r"model\.mixing reads them in one direction: leave it out, got conv"):
        parts(**trace, trace={"kind": "carry-save"}, evaluation={"digits": [3]})
