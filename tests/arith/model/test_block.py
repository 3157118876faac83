"""Attention of a block by another temperature."""

from typing import Any

import pytest
import torch

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.model.block import Attention
from arith.model.cache import Cache

CPU = torch.device("cpu")


def parts(encoding: str, sharpen: Any, **model: object) -> tuple[Experiment, Any]:
    shape = {"layers": 2, "width": 32, "heads": 4, "hidden": 48, "sharpen": sharpen}
    experiment = Experiment.of(RunConfig.of({"encoding": encoding, "model": shape | model}))
    return experiment, experiment.model().double().eval()


@pytest.mark.parametrize("loops", [1, 2])
@pytest.mark.parametrize(
    "encoding",
    ["rope", "window:left=3", "relative", "fire", "fire@coupled", "forgetting", "shaw", "cope", "coupled-window"],
)
def test_decoding_counts_the_tokens_as_one_pass_does(encoding: str, loops: int) -> None:
    experiment, model = parts(encoding, "log-n", loops=loops)
    for parameter in model.encoding.parameters():
        torch.nn.init.normal_(parameter)
    batch = experiment.test_data("random", 3).batch(0, 4, CPU)
    placed, cut = batch.placed_by(model.encoding), batch.shortest_prompt
    whole = model(batch.tokens, placed)
    cache = Cache()
    decoded = [model(batch.tokens[:, :cut], tuple(own[..., :cut] for own in placed), queries=2, cache=cache)]
    for at in range(cut, batch.tokens.shape[1]):
        now = slice(at, at + 1)
        decoded.append(model(batch.tokens[:, now], tuple(own[..., now] for own in placed), cache=cache))
    torch.testing.assert_close(torch.cat(decoded, dim=1), whole[:, cut - 2 :])
    with model.sharpened(1.0):
        assert not torch.allclose(model(batch.tokens, placed), whole, atol=1e-3)


@pytest.mark.parametrize("norm_after", [True, False])
def test_a_parallel_block_reads_one_norm_twice(norm_after: bool) -> None:
    experiment, model = parts("nope", 1.0, block="parallel", norm_after=norm_after, layers=1, activation="gated-silu")
    batch = experiment.training_data().batch(0, 4, CPU)
    seen: dict[str, torch.Tensor] = {}
    block = model.blocks[0]
    for name in ("attention", "mlp"):
        hook = lambda module, given, found, name=name: seen.update({name: found})  # noqa: E731
        getattr(block, name).register_forward_hook(hook)
    found = model(batch.tokens, batch.placed_by(model.encoding))
    x = model.embedding(batch.tokens)
    z = block.before_attention(x)
    gates = block.mlp.gate(z)
    mlp = block.mlp.down(block.mlp.up(z) * gates * torch.sigmoid(gates))
    torch.testing.assert_close(seen["mlp"], mlp)
    out = x + block.after_attention(seen["attention"]) + block.after_mlp(mlp)
    torch.testing.assert_close(found, model.head(model.norm(out)))
    assert not any("before_mlp" in name for name in model.state_dict())


@pytest.mark.parametrize("loops", [1, 2])
def test_a_parallel_block_decodes_and_picks_as_one_pass_does(loops: int) -> None:
    experiment, model = parts("rope", 1.0, block="parallel", loops=loops)
    batch = experiment.test_data("random", 3).batch(0, 4, CPU)
    placed, cut = batch.placed_by(model.encoding), batch.shortest_prompt
    whole = model(batch.tokens, placed)
    cache = Cache()
    first = model(batch.tokens[:, :cut], tuple(own[..., :cut] for own in placed), cache=cache)
    rest = model(batch.tokens[:, cut:], tuple(own[..., cut:] for own in placed), cache=cache)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole)
    picked = torch.tensor([[0, 2]]).expand(4, -1)
    torch.testing.assert_close(model(batch.tokens, placed, queries=5, picked=picked), whole[:, -5:][:, [0, 2]])


@pytest.mark.parametrize("encoding", ["rope", "coupled-window"])
def test_a_step_by_log_n_has_finite_gradients(encoding: str) -> None:
    experiment, model = parts(encoding, "log-n")
    model.loss(experiment.training_data().batch(0, 8, CPU)).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_another_factor_lasts_as_long_as_the_block() -> None:
    _, model = parts("rope", 2)

    def factors() -> set[float | str]:
        return {module.sharpen for module in model.modules() if isinstance(module, Attention)}

    def fail() -> None:
        with model.sharpened("log-n"):
            assert factors() == {"log-n"}
            with model.sharpened(None):
                assert factors() == {"log-n"}
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert factors() == {2.0}
