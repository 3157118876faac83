"""Models whose parts share their weights, and tokens on a circle."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from arith.config.schema import ModelConfig, RunConfig
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.model.cache import Cache
from arith.model.cost import block_parameters, forward_flops
from arith.model.transformer import Transformer

CPU = torch.device("cpu")
TIES = ("values", "output", "norms", "head")
SMALL = {"layers": 2, "width": 8, "heads": 2, "hidden": 12}
COUNTED = {  # of a model with 17 tokens, no encoding's parameters, and five norms in a block's place of four
    (): 17 * 8 + 2 * (4 * 64 + 3 * 96 + 4 * 8) + 8 + 17 * 8,
    ("values",): -2 * 64,
    ("output",): -2 * 64,
    ("norms",): -2 * 4 * 8,
    ("head",): -17 * 8,
    TIES: -4 * 64 - 8 * 8 - 17 * 8,
}


def parts(**model: object) -> tuple[Experiment, Transformer]:
    experiment = Experiment.of(RunConfig.of({"encoding": "rope", "model": SMALL | model}))
    return experiment, experiment.model().double()


def untied(tied: Transformer) -> Transformer:
    """A model that shares nothing and has the same numbers in every place."""
    _, free = parts()
    free.embedding.weight.data = tied.embedding.weight.detach().clone()
    for own, other in zip(free.blocks, tied.blocks, strict=True):
        own.mlp.load_state_dict(other.mlp.state_dict())
        for name in ("query", "key"):
            getattr(own.attention, name).weight.data = getattr(other.attention, name).weight.detach().clone()
        own.attention.value.weight.data = other.attention.key.weight.detach().clone()
        own.attention.out.weight.data = other.attention.query.weight.detach().T.clone()
        for name in ("before_attention", "after_attention", "before_mlp", "after_mlp"):
            getattr(own, name).weight.data = tied.norm.weight.detach().clone()
    free.norm.weight.data = tied.norm.weight.detach().clone()
    free.head.weight.data = tied.embedding.weight.detach().clone()
    return free


@pytest.mark.parametrize("embedding", ["table", "circle"])
def test_a_tied_model_is_one_with_the_same_numbers_in_all_places(embedding: str) -> None:
    experiment, tied = parts(tie=TIES, embedding=embedding)
    torch.nn.init.normal_(tied.norm.weight)
    free = untied(tied)
    batch = experiment.training_data().batch(0, 8, CPU)
    losses = [model.loss(batch) for model in (tied, free)]
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.backward()
    # What is shared has the gradients of all its places.
    for own, other in zip(tied.blocks, free.blocks, strict=True):
        grads = [other.attention.get_submodule(name).weight.grad for name in ("query", "out", "key", "value")]
        torch.testing.assert_close(own.attention.query.weight.grad, grads[0] + grads[1].T)
        torch.testing.assert_close(own.attention.key.weight.grad, grads[2] + grads[3])
    norms = [own.weight.grad for own in free.modules() if isinstance(own, torch.nn.RMSNorm)]
    torch.testing.assert_close(tied.norm.weight.grad, torch.stack(norms).sum(0))
    if embedding == "table":
        torch.testing.assert_close(tied.embedding.weight.grad, free.embedding.weight.grad + free.head.weight.grad)


@pytest.mark.parametrize("tie", COUNTED)
def test_what_is_shared_counts_once(tie: tuple[str, ...]) -> None:
    _, model = parts(tie=tie)
    assert model.parameter_count() == COUNTED[()] + (COUNTED[tie] if tie else 0)
    matrices = [parameter.numel() for parameter in model.blocks.parameters() if parameter.ndim == 2]
    assert block_parameters(ModelConfig(**SMALL, tie=tie)) == sum(matrices)  # type: ignore[arg-type]
    # Nor is it saved twice, which safetensors refuses.
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == model.parameter_count()


def test_values_that_are_keys_are_not_computed() -> None:
    free, tied = (
        forward_flops(ModelConfig(**SMALL, tie=tie), vocabulary=17, tokens=10)  # type: ignore[arg-type]
        for tie in ((), TIES)
    )
    assert free - tied == 2 * 2 * 10 * 8 * 8  # in two layers a product of ten tokens with an 8 x 8 matrix


def test_a_circle_has_three_parameters_and_its_tokens_are_apart() -> None:
    _, table = parts()
    _, circle = parts(embedding="circle")
    assert table.parameter_count() - circle.parameter_count() == 17 * 8 - 3
    rows = circle.embedding.weight
    torch.testing.assert_close(rows.norm(dim=1), torch.full((17,), 8**0.5, dtype=rows.dtype))
    assert not rows[:, 2:].any()
    assert torch.pdist(rows).min() > 0.5
    # From one token to the next it turns by the same angle.
    turns = [torch.atan2(*row[:2].flip(0)) for row in rows[:8]]
    torch.testing.assert_close(torch.stack(turns).diff(), circle.embedding.step.expand(7))


def test_a_tied_model_decodes_as_one_pass_does() -> None:
    experiment, model = parts(tie=TIES, embedding="circle", loops=2)
    batch = experiment.test_data("random", 3).batch(0, 4, CPU)
    placed, cut = batch.placed_by(model.encoding), batch.shortest_prompt
    whole = model(batch.tokens, placed)
    cache = Cache()
    decoded = [model(batch.tokens[:, :cut], tuple(own[..., :cut] for own in placed), queries=2, cache=cache)]
    for at in range(cut, batch.tokens.shape[1]):
        now = slice(at, at + 1)
        decoded.append(model(batch.tokens[:, now], tuple(own[..., now] for own in placed), cache=cache))
    torch.testing.assert_close(torch.cat(decoded, dim=1), whole[:, cut - 2 :])


def test_a_tied_model_is_trained_saved_and_exported(arith: Callable[..., Result], tmp_path: Path) -> None:
    settings = (f"model.tie={','.join(TIES)}", "model.embedding=circle", "training.optimizer=muon")
    options = [part for setting in (*settings, "training.average=0.9") for part in ("--set", setting)]
    sizes = ("--steps", "6", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9")
    trained = arith("train", "addition", "--encoding", "rope", *sizes, *options, "--out", "run")
    assert trained.exit_code == 0, trained.output
    exported = arith("export", "run", "--to", "exported")
    assert exported.exit_code == 0, exported.output
    assert len({arith("ask", place, "12+34").stdout for place in ("run", "exported")}) == 1
    evaluated = arith("evaluate", "--hf", "exported", "--test-digits", "1", "--samples", "5")
    assert evaluated.exit_code == 0, evaluated.output
    run = Run.open(tmp_path / "run")
    model, _ = run.load_model(Experiment.of(run.config))
    assert "head.weight" not in model.state_dict()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": {"embedding": "circle", "width": 1, "heads": 1}}, "model.width is 2 or more: got 1"),
        ({"model": {"tie": ["norms", "norms"]}}, "names each part once: got norms, norms"),
        (
            {"task": "multiplication", "encoding": "lookup", "model": {"tie": ["values"]}},
            "take values out of model.tie",
        ),
        (
            {"task": "multiplication", "trace": {"kind": "running-sum"}, "model": {"tie": ["head"]}},
            "take head out of model.tie",
        ),
    ],
)
def test_what_has_no_place_is_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Experiment.of(RunConfig.of(settings))
