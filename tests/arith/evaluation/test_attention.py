"""What heads look at."""

import pytest
import torch
from einops import rearrange, repeat

from arith.config.schema import RunConfig
from arith.evaluation.attention import attention_maps, record_attention, weights_of
from arith.experiment.experiment import Experiment
from arith.model.block import Attention

CPU = torch.device("cpu")


def untrained(encoding: str, **values: object) -> Experiment:
    config = {"encoding": encoding, "evaluation": {"digits": "20"}, "model": {"layers": 2, "key_heads": 2}}
    return Experiment.of(RunConfig.of(config | values))


@pytest.mark.parametrize("prompt_layers", [None, 1])
def test_maps_of_lookups_and_above_the_prompt(prompt_layers: int | None) -> None:
    summed = {"layers": 3, "loops": 2, "looped": 1, "loop_input": "embeddings", "prompt_layers": prompt_layers}
    products = {"task": "multiplication", "format": "padded-all-reversed:width=2", "data": {"digits": "1-2"}}
    experiment = untrained("sliding-lookup", **products, model=summed, evaluation={"digits": "2"})
    maps = attention_maps(experiment, experiment.model().eval(), "12*34").weights
    # ^ 2 1 * 4 3 = 8 0 4 0 $: the equals sign predicts the first column, where the units meet.
    assert [own.shape for own in maps] == [(2, 12, 12)] * 2 + [(4, 12, 12)] * 2
    for loop, taken in enumerate([[1, 4], [5]]):
        assert maps[loop][:, 6].nonzero()[:, 1].tolist() == taken
    for own in maps[2:]:
        seen = own[:, 6:, :6].sum()
        assert (seen == 0) == (prompt_layers == 1)
        torch.testing.assert_close(own[:, 6:].sum(-1), torch.ones(4, 6))


@pytest.mark.parametrize(
    ("encoding", "sharpen"),
    [
        *(("rope", 1), ("t5@coupled", 1), ("coupled-window", 1), ("fire", 1), ("cope", 1), ("forgetting", 1)),
        *(("shaw", 1), ("relative-logits", 1), ("rope", "log-n"), ("coupled-window", "log-n"), ("cope", 2)),
        *(("pope", 1), ("pope", 2)),
    ],
)
def test_maps_are_what_the_model_weighs_its_values_with(encoding: str, sharpen: float | str) -> None:
    experiment = untrained(encoding, model={"layers": 2, "key_heads": 2, "loops": 2, "sharpen": sharpen})
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
