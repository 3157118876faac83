"""Muon and SGD beside torch's own, and in a training."""

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from arith.config.schema import RunConfig, TrainingConfig
from arith.errors import UsageError
from arith.experiment import checkpoints
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.training.feed import Feed
from arith.training.optimiser import Muon, build_optimizer, orthogonal, set_rates
from arith.training.step import training_step

CPU = torch.device("cpu")
SHAPES = [(8, 8), (8, 8), (24, 8), (8, 24)]


def experiment_with(**training: object) -> Experiment:
    return Experiment.of(RunConfig.of({"training": {"batch": 8, "optimizer": "muon", **training}}))


OPTIMIZERS = pytest.mark.parametrize(
    "settings", [{"optimizer": "muon"}, {"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0.0}], ids=str
)


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_updates_are_those_of_torch(decay: float) -> None:
    ours, theirs = weights(), weights()
    muon = Muon([{"params": ours, "orthogonal": True}], lr=0.05, weight_decay=decay, fused=True)
    peer = torch.optim.Muon(theirs, lr=0.05, weight_decay=decay, adjust_lr_fn="original")
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        for own, other in zip(ours, theirs, strict=True):
            own.grad = other.grad = torch.randn(own.shape, generator=generator)
        muon.step()
        peer.step()
    for own, other, start in zip(ours, theirs, weights(), strict=True):
        moved = (own - start).norm()
        assert (own - other).norm() < 0.02 * moved  # torch iterates in bfloat16
        assert moved > 0.05


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_singular_values_come_to_about_one(shape: tuple[int, int]) -> None:
    matrices = torch.randn(5, *shape, generator=torch.Generator().manual_seed(2)).double()
    found = orthogonal(matrices)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    cosine = (found * (u @ v)).sum() / found.norm() / (u @ v).norm()
    assert cosine > 0.97


def test_matrices_of_the_blocks_alone_are_orthogonal() -> None:
    model = experiment_with().model()
    optimizer = build_optimizer(model, experiment_with().config.training)
    inside = {id(p) for g in optimizer.param_groups if g["orthogonal"] for p in g["params"]}
    assert inside == {id(p) for p in model.blocks.parameters() if p.ndim == 2}
    everything = list(itertools.chain(*(group["params"] for group in optimizer.param_groups)))
    assert len(everything) == len(list(model.parameters()))


def test_each_group_has_its_rate() -> None:
    config = TrainingConfig(optimizer="muon", muon_rate=0.02, learning_rate=1e-3, warmup=10)
    optimizer = build_optimizer(experiment_with().model(), config)
    set_rates(optimizer, config, 4)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 5e-4, 5e-4])


@OPTIMIZERS
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_update_whose_loss_is_no_number_changes_nothing(value: float, settings: dict[str, object]) -> None:
    experiment = experiment_with(**settings)
    model, config = experiment.model(), experiment.config.training
    optimizer = build_optimizer(model, config)
    feed = Feed(experiment.training_data(), model.encoding, config, CPU)
    training_step(model, optimizer, feed.batches(0), config)
    before = {name: own.clone() for name, own in model.state_dict().items()}
    state = {name: own.clone() for name, own in Checkpoint.of(1, model, optimizer).optimizer.items()}
    hook = model.head.register_forward_hook(lambda module, inputs, out: out * value)
    training_step(model, optimizer, feed.batches(1), config)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    after = Checkpoint.of(1, model, optimizer).optimizer
    torch.testing.assert_close(after, state, rtol=0, atol=0)
    hook.remove()
    training_step(model, optimizer, feed.batches(2), config)
    assert not torch.equal(model.blocks[0].mlp.up.weight, before["blocks.0.mlp.up.weight"])


def updated(momentum: float, decay: float, steps: int) -> list[Tensor]:
    """Weights after some steps of SGD as it is written in its docstring."""
    ours, generator = weights(), torch.Generator().manual_seed(1)
    moved = [torch.zeros_like(own) for own in ours]
    found = [own.detach().clone() for own in ours]
    for _ in range(steps):
        for place, own in enumerate(found):
            gradient = torch.randn(own.shape, generator=generator) + decay * own
            moved[place] = momentum * moved[place] + gradient
            found[place] = own - 0.05 * moved[place]
    return found


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.1)])
@pytest.mark.parametrize("skipped", [False, True])
def test_sgd_updates_as_its_formula_says_also_after_a_skipped_first_step(
    momentum: float, decay: float, skipped: bool
) -> None:
    """A skipped first step left momentum as uninitialised memory; NaN is put where torch would allocate it."""
    model = nn.Module()
    for place, own in enumerate(weights()):
        linear = nn.Linear(1, 1, bias=False)
        linear.weight = own
        model.add_module(str(place), linear)
    config = TrainingConfig(optimizer="sgd", momentum=momentum, weight_decay=decay, learning_rate=0.05)
    optimizer = build_optimizer(model, config)
    generator = torch.Generator().manual_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "empty_like", lambda like, **_: torch.full_like(like, float("nan")))
        for step in range(-1 if skipped else 0, 3):
            for own in model.parameters():
                bad = step < 0
                own.grad = torch.full_like(own, float("nan")) if bad else torch.randn(own.shape, generator=generator)
            optimizer.found_inf = torch.tensor(float(step < 0))  # type: ignore[attr-defined]
            optimizer.step()
    torch.testing.assert_close([own.detach() for own in model.parameters()], updated(momentum, decay, 3))


@OPTIMIZERS
def test_a_checkpoint_goes_on_with_the_same_bits(tmp_path: Path, settings: dict[str, object]) -> None:
    experiment = experiment_with(**settings)
    config = experiment.config.training
    feed = Feed(experiment.training_data(), experiment.encoding(), config, CPU)

    def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            set_rates(optimizer, config, step)
            training_step(model, optimizer, feed.batches(step), config)  # type: ignore[arg-type]

    whole = experiment.model()
    optimizer = build_optimizer(whole, config)
    trained(whole, optimizer, range(3))
    checkpoints.save(tmp_path, Checkpoint.of(3, whole, optimizer), keep=1)
    trained(whole, optimizer, range(3, 6))
    again = experiment.model()
    fresh = build_optimizer(again, config)
    checkpoints.latest(tmp_path, print).restore(again, fresh)
    trained(again, fresh, range(3, 6))
    torch.testing.assert_close(dict(again.state_dict()), dict(whole.state_dict()), rtol=0, atol=0)


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(UsageError, match=r"training\.muon_rate is above 0, got 0"):
        experiment_with(muon_rate=0.0)
    optimizer = build_optimizer(experiment_with().model(), experiment_with().config.training)
    with pytest.raises(ValueError, match="takes no closure"):
        optimizer.step(lambda: 0.0)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_momentum_without_sgd_is_refused_by_name(optimizer: str) -> None:
    with pytest.raises(UsageError, match=rf"training\.momentum is for training\.optimizer=sgd.* with {optimizer}"):
        experiment_with(optimizer=optimizer, momentum=0.5)
    with pytest.raises(UsageError, match=r"training\.momentum is 0 or more and below 1, got 1\.0"):
        experiment_with(optimizer="sgd", momentum=1.0)
