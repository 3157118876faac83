"""A training step: its data, its parts, and that nothing in it waits for the device."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from arith.errors import RunError
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.training.distributed import World
from arith.training.loop import train
from arith.training.optimiser import build_optimizer
from arith.training.step import FiniteWatch, training_step
from tests.arith.short import saved_often
from tests.arith.training.feeding import FORMATS, experiment_with, fed

CPU = torch.device("cpu")
# Numbers on the host, or shapes that depend on numbers: a GPU would have to finish everything before.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "unique2", "_unique2", "is_nonzero", "equal", "item"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("processes", "parts", "static"), [(1, 3, False), (1, 1, True), (3, 2, False), (2, 4, True)])
def test_losses_and_gradients_of_the_parts_add_up(form: str, processes: int, parts: int, static: bool) -> None:
    experiment = experiment_with(format=form, data={"digits": "1-7"})
    model = experiment.model().double()
    whole = model.loss(experiment.training_data().batch(32, 16, CPU))
    whole.backward()
    expected = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    split = experiment_with(format=form, data={"digits": "1-7"}, training={"microbatches": parts})
    batches = [b for rank in range(processes) for b in fed(split, World(rank, processes), static).batches(2)]
    assert len(batches) == processes * parts
    losses = [model.loss(batch) for batch in batches]
    torch.testing.assert_close(torch.stack(losses).sum(), whole)
    for loss in losses:
        loss.backward()
    for parameter, own in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, own)
    longest = experiment.training_data().longest
    if static:
        assert all(b.tokens.shape[1] % 8 == 1 or b.tokens.shape[1] == longest for b in batches)
    if parts > 1:
        assert batches[0].tokens.shape[1] < batches[parts - 1].tokens.shape[1]


def test_a_run_in_parts_has_the_losses_of_a_run_in_one(tmp_path: Path, halted: Callable[[Run], Run]) -> None:
    """And resumed in its middle it is the same to the bit."""
    losses = {}
    for parts in (1, 3):
        experiment = experiment_with(training={"microbatches": parts})
        run = Run.begin(tmp_path / str(parts), experiment.config)
        last = train(run, experiment).state_dict()
        losses[parts] = [row["loss"] for row in run.read_metrics() if "loss" in row]
    assert losses[3] == pytest.approx(losses[1], rel=1e-4)
    again = train(halted(run), experiment).state_dict()
    assert all(torch.equal(again[name], last[name]) for name in last)


class NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        by_mask = name.startswith(("index", "_index")) and any(
            own is not None and own.dtype == torch.bool
            for own in (args[1] if isinstance(args[1], list | tuple) else ())
        )
        if name in WAITS or by_mask:
            raise AssertionError(f"{name} waits for the device")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("parts", "optimizer"), [(1, "adamw"), (2, "adamw"), (1, "muon"), (1, "sgd")])
@pytest.mark.parametrize("encoding", ["coupled-window", "rope@randomized:span=400", "abacus+fire", "random-tags+t5"])
def test_nothing_in_a_step_waits_for_the_device(encoding: str, parts: int, optimizer: str) -> None:
    experiment = experiment_with(encoding=encoding, training={"microbatches": parts, "optimizer": optimizer})
    model, config = experiment.model(), experiment.config.training
    updater, feed, watch = build_optimizer(model, config), fed(experiment), FiniteWatch(CPU)
    training_step(model, updater, feed.batches(0), config)  # makes the optimiser's state
    with NoWaiting():
        for step in range(1, 3):
            watch.see(step, *training_step(model, updater, feed.batches(step), config))
    with pytest.raises(AssertionError, match="waits for the device"), NoWaiting():
        float(watch.first.sum())
    with pytest.raises(AssertionError, match="waits for the device"), NoWaiting():
        feed.batches(0)[0].tokens[feed.batches(0)[0].answer_mask]


@pytest.mark.parametrize(("task", "optimizer"), [("multiplication", "adamw"), ("addition:operands=3", "muon")])
def test_running_sums_are_told_without_waiting_for_the_device(task: str, optimizer: str) -> None:
    training = {"microbatches": 2, "optimizer": optimizer}
    experiment = experiment_with(task=task, auxiliary={"kind": "running-sum"}, training=training)
    model, config = experiment.model(), experiment.config.training
    updater, feed = build_optimizer(model, config), fed(experiment)
    training_step(model, updater, feed.batches(0), config)
    with NoWaiting():
        for step in range(1, 3):
            training_step(model, updater, feed.batches(step), config)


def test_of_several_bad_steps_the_first_is_told() -> None:
    """On a GPU many steps pass before anyone looks."""
    watch = FiniteWatch(CPU)
    steps = [(2.0, 1.0), (3.0, math.inf), (math.nan, math.nan), (2.0, 1.0)]
    for step, (loss, norm) in enumerate(steps, 1):
        watch.see(step, torch.tensor(loss), torch.tensor(norm))
    told = "the loss is 3.0 and the norm of its gradient inf at step 2, learning rate .*, samples 16 to 31 of"
    with pytest.raises(RunError, match=told):
        watch.check(experiment_with().config.training)


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_step_that_is_no_number_changes_nothing(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    config = saved_often()
    experiment = Experiment.of(config)
    model = experiment.model()
    optimizer = build_optimizer(model, config.training)
    batch = experiment.training_data().batch(0, 16, torch.device("cpu"))
    training_step(model, optimizer, [batch], config.training)
    before = [p.clone() for p in model.parameters()]
    moments = {key: value.clone() for key, value in Checkpoint.of(1, model, optimizer).optimizer.items()}
    if broken == "loss":
        monkeypatch.setattr("arith.training.step.batch_loss", lambda model, *_: model.head.weight.sum() * float("nan"))
    else:
        model.head.weight.register_hook(lambda gradient: gradient * float("inf"))
    training_step(model, optimizer, [batch], config.training)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert all(torch.equal(moments[k], v) for k, v in Checkpoint.of(1, model, optimizer).optimizer.items())
