"""What heads look at."""

import pytest
import torch
from einops import rearrange, repeat

from arith.config.schema import RunConfig
from arith.evaluation.attention import record_attention, weights_of
from arith.experiment.experiment import Experiment
from arith.model.block import Attention

CPU = torch.device("cpu")


def untrained(encoding: str, **values: object) -> Experiment:
    config = {"encoding": encoding, "evaluation": {"digits": "20"}, "model": {"layers": 2, "key_heads": 2}}
    return Experiment.of(RunConfig.of(config | values))


@pytest.mark.parametrize("encoding", ["rope", "t5@coupled", "coupled-window", "fire", "cope", "forgetting", "shaw"])
def test_maps_are_what_the_model_weighs_its_values_with(encoding: str) -> None:
    experiment = untrained(encoding, model={"layers": 2, "key_heads": 2, "loops": 2})
    model = experiment.model().eval()
    batch = experiment.test_data("random", 3).batch(0, 4, CPU)
    compared = []

    def check(module: torch.nn.Module, arguments: tuple[object, ...], out: torch.Tensor) -> None:
        assert isinstance(module, Attention)
        x, context = arguments
        weights = weights_of(module, x, context)  # type: ignore[arg-type]
        v = repeat(module.value(x), "b n (g d) -> b (g copies) n d", g=2, copies=2)
        compared.append(torch.allclose(module.out(rearrange(weights @ v, "b h q d -> b q (h d)")), out, atol=1e-5))

    for module in model.modules():
        if isinstance(module, Attention):
            module.register_forward_hook(check)
    weights = record_attention(model, batch)
    assert compared == [True] * 4
    assert [own.shape for own in weights] == [(4, 4, 14, 14)] * 4
    assert all(torch.allclose(own.sum(-1), torch.ones(()), atol=1e-5) for own in weights)
