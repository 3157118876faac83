"""What heads look at."""

import pytest
import torch
from einops import rearrange, repeat

from arith.config.schema import RunConfig
from arith.evaluation.attention import attention_maps, bias_of, record_attention, watch_layers, weights_of
from arith.experiment.experiment import Experiment
from arith.kernels.reference import scale_queries
from arith.model.block import Attention
from arith.model.kinds.looped import Looped

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


@pytest.mark.parametrize("encoding", ["rope", "t5@coupled", "coupled-window", "fire", "cope", "forgetting", "shaw"])
def test_bias_is_what_stands_between_content_and_weights(encoding: str) -> None:
    experiment = untrained(encoding, model={"layers": 2, "key_heads": 2, "sharpen": 1.5})
    model = experiment.model().eval()
    batch = experiment.test_data("random", 3).batch(0, 2, CPU)
    layers, logits = watch_layers(model, batch.tokens, batch.placed_by(model.encoding), batch.queries)
    assert [(own.loop, own.layer) for own in layers] == [(0, 0), (0, 1)]
    assert torch.equal(logits, model(batch.tokens, batch.placed_by(model.encoding)))
    for own in layers:
        assert isinstance(own.module, Attention)
        bias = bias_of(own.module, own.x, own.context)
        assert bias.isnan()[:, :, 0, 1:].all()  # the future is hidden
        if encoding == "rope":
            assert not bias.nan_to_num().any()  # rotations add nothing
        q, k, _ = own.module.project(own.x, own.x.shape[1])
        q, k = own.context.encoding.rotate(q, k, own.context.new)
        factor = 1.5 if encoding != "cope" else 1.0  # there it is in the bias
        content = scale_queries(q, factor * q.shape[3] ** -0.5) @ repeat(k, "b g k d -> b (g m) d k", m=2)
        weights = (content + bias).nan_to_num(nan=-torch.inf).softmax(-1)
        torch.testing.assert_close(weights, own.weights(), atol=1e-5, rtol=0)


def test_loops_that_a_problem_asks_for_are_all_seen() -> None:
    values = {"task": "multiplication", "format": "padded-reversed", "trace": {"kind": "carry-save"}}
    values |= {"data": {"digits": "1-2"}, "evaluation": {"digits": "3"}, "model": {"layers": 2}}
    experiment = Experiment.of(RunConfig.of({"encoding": "sliding-window", **values}))
    model = experiment.model().eval()
    assert isinstance(model, Looped)
    maps = attention_maps(experiment, model, "12*345")
    # A loop for each digit of the second factor, and as many more as carries ask for.
    loops = len(maps.passes) // 2
    assert loops >= 3
    assert maps.passes == tuple((loop, layer) for loop in range(loops) for layer in range(2))
