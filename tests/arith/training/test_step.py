"""A training step: its data, its parts, and that nothing in it waits for the device."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch.utils._python_dispatch import TorchDispatchMode

from arith.config.schema import RunConfig
from arith.errors import RunError
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.model.norm import RMSNorm
from arith.tasks.mixture import Mixture
from arith.training.compiled import Compiled, loss_for, missing
from arith.training.distributed import World
from arith.training.feed import Feed
from arith.training.fixed_set import FixedSet
from arith.training.loop import train
from arith.training.optimiser import build_optimizer
from arith.training.step import FiniteWatch, batch_loss, training_step

CPU = torch.device("cpu")
FORMATS = ["padded-reversed", "reversed+hints", "plain+spaces"]  # the last with tokens that no model can know
# Numbers on the host, or shapes that depend on numbers: a GPU would have to finish everything before.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "unique2", "_unique2", "is_nonzero", "equal", "item"}


def experiment_with(**values: Any) -> Experiment:
    base = {
        "encoding": "t5",
        "model": {"width": 32, "hidden": 32, "layers": 2},
        "training": {"batch": 16, "steps": 12, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3},
    }
    return Experiment.of(RunConfig.of(base).with_values(values))


def fed(experiment: Experiment, world: World | None = None, static: bool = False) -> Feed:
    config = experiment.config.training
    return Feed(experiment.training_data(), experiment.encoding(), config, CPU, world or World(), static)


@pytest.mark.parametrize("form", FORMATS)
def test_a_feed_gives_the_samples_of_each_step_from_any_step_on(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = experiment_with(format=form, encoding="rope@randomized:span=400+t5", data={"samples": 50})
    model = experiment.model()
    for ahead in (2**20, 600):  # all steps in one block, or a few in each
        monkeypatch.setattr("arith.training.feed.AHEAD", ahead)
        feed = fed(experiment)
        for step in (0, 1, 7, 2, 40):
            (batch,) = feed.batches(step)
            alone = experiment.training_data().batch(step * 16, 16, CPU)
            assert torch.equal(batch.tokens, alone.tokens)
            assert torch.equal(batch.answer_mask, alone.answer_mask)
            assert torch.equal(batch.key, alone.key)
            assert batch.shortest_prompt == alone.shortest_prompt
            ids = model.encoding.full(alone.prompt, alone.tokens, alone.key, alone.capacity)
            assert batch.ids is not None
            assert all(torch.equal(own, other) for own, other in zip(batch.ids, ids, strict=True))
            assert float(batch.total) == int(alone.answer_mask.sum())
            assert feed.tokens(step) == (int(alone.length.sum()), alone.tokens.numel())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("parts", "static"), [(1, False), (3, True)])
def test_a_fixed_set_is_written_once_and_gives_the_batches_of_one_written_anew(
    form: str, parts: int, static: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arith.training.feed.AHEAD", 600)  # a few steps in each block
    monkeypatch.setattr("arith.training.fixed_set.DRAWN", 32)  # and stretches of other widths
    experiment = experiment_with(
        format=form, encoding="random-tags+t5", data={"samples": 50, "digits": "1-5"}, training={"microbatches": parts}
    )
    kept, anew = fed(experiment, static=static), fed(experiment, static=static)
    kept.batches(0)
    with monkeypatch.context() as patched:
        patched.setattr("arith.training.fixed_set.MOST_TOKENS", 0)
        anew.batches(0)
        expected = [(anew.batches(step), anew.tokens(step)) for step in range(12)]
    monkeypatch.setattr(Mixture, "write", None)  # nothing is written again
    for step, (batches, tokens) in enumerate(expected):
        assert kept.tokens(step) == tokens
        for own, other in zip(kept.batches(step), batches, strict=True):
            assert own.samples.tokens.dtype == torch.uint8
            for name in ("tokens", "answer_mask", "key", "length", "total", "wanted", "ids"):
                torch.testing.assert_close(getattr(own, name), getattr(other, name), rtol=0, atol=0)
    with pytest.raises(TypeError):
        anew.batches(0)


@pytest.mark.parametrize(("samples", "kept"), [(None, False), (192, True), (193, False)])
def test_only_what_comes_again_is_kept(samples: int | None, kept: bool) -> None:
    experiment = experiment_with(data={"samples": samples})  # 12 steps of 16
    assert (FixedSet.of(experiment.training_data(), 12 * 16, CPU) is not None) == kept


@pytest.mark.parametrize("form", FORMATS)
def test_the_loss_is_that_of_all_queries(form: str) -> None:
    """Answers begin at different places, so that few of the queries are asked in any one row."""
    batch = experiment_with(format=form, data={"digits": "1-9"}).training_data().batch(0, 64, CPU)
    model = experiment_with(format=form, data={"digits": "1-9"}).model().double()
    assert batch.logits_per_row < batch.queries
    whole = dataclasses.replace(batch, longest_answer=batch.queries)
    assert whole.picked is None
    losses = [model.loss(own) for own in (batch, whole)]
    torch.testing.assert_close(*losses)
    of_few, of_all = (torch.autograd.grad(loss, list(model.parameters())) for loss in losses)
    torch.testing.assert_close(of_few, of_all)


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


def test_parts_of_like_length_have_less_padding() -> None:
    of = {parts: experiment_with(training={"microbatches": parts}, data={"digits": "1-20"}) for parts in (1, 4)}
    (real, whole), (same, split) = (fed(of[parts]).tokens(3) for parts in (1, 4))
    assert real == same
    assert split < 0.85 * whole


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


@pytest.mark.parametrize(("parts", "optimizer"), [(1, "adamw"), (2, "adamw"), (1, "muon")])
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


COMPILED = [
    *("nope", "rope", "t5", "alibi", "kerple", "sandwich", "fire", "cope", "dape", "forgetting", "shaw", "xpos"),
    *("transformer-xl", "hard-alibi", "coupled", "coupled-window", "abacus", "bipe", "cape", "random-tags"),
    *("rope@randomized:span=400", "t5@pose:span=400", "learned@coupled:levels=2", "random-embedding:at=heads@tags"),
    "rope-yarn:trained=4@coupled",
]


@pytest.mark.parametrize(
    "encoding",
    [own if own == "coupled-window" else pytest.param(own, marks=pytest.mark.slow) for own in COMPILED],
)
def test_the_step_is_one_graph_with_the_numbers_of_the_eager_one(encoding: str) -> None:
    torch.compiler.reset()
    experiment = experiment_with(encoding=encoding, training={"batch": 8}, model={"layers": 1})
    config, feed = experiment.config.training, fed(experiment, static=True)
    compiled = Compiled(backend="aot_eager")
    found = []
    for loss_of in (compiled, None):
        model = experiment.model()
        optimizer = build_optimizer(model, config)
        found.append(
            [training_step(model, optimizer, feed.batches(step), config, loss_of=loss_of) for step in range(2)]
        )
    assert compiled.loss is batch_loss
    assert compiled._compiled is not None, "it fell back to eager"
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    assert not any("_orig_mod" in name for name in model.state_dict())


@pytest.mark.slow
@pytest.mark.skipif(missing(CPU) is not None, reason="no compiler")
def test_a_run_compiled_by_inductor_has_the_losses_of_an_eager_one(tmp_path: Path) -> None:
    torch.compiler.reset()
    losses = []
    for wanted in ("on", "off"):
        experiment = experiment_with(encoding="coupled-window", training={"compile": wanted, "microbatches": 2})
        run = Run.begin(tmp_path / wanted, experiment.config)
        train(run, experiment)
        losses.append([row["loss"] for row in run.read_metrics() if "loss" in row])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_without_a_compiler_training_says_so_and_runs_eagerly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = experiment_with(training={"compile": "on"})
    model, config = experiment.model(), experiment.config
    monkeypatch.setattr("arith.training.compiled.shutil.which", lambda name: None)
    assert loss_for(model, config, 20, CPU) is None
    assert "no C++ compiler" in capsys.readouterr().err
    assert "no C compiler" in str(missing(torch.device("cuda")))
    monkeypatch.setattr("arith.training.compiled.find_spec", lambda name: None)
    assert "triton is not installed" in str(missing(torch.device("cuda")))
    monkeypatch.undo()
    assert loss_for(model, experiment_with().config, 20, CPU) is None, "auto compiles nothing on a CPU"


def test_what_cannot_be_compiled_runs_eagerly_and_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no such thing as a compiler")

    torch.compiler.reset()
    experiment = experiment_with()
    model, feed = experiment.model(), fed(experiment, static=True)
    compiled = Compiled(backend=broken)
    for step in range(2):
        (batch,) = feed.batches(step)
        torch.testing.assert_close(compiled(model, batch), model.loss(batch))
    assert capsys.readouterr().err.count("without compilation") == 1


@pytest.mark.parametrize("parts", [1, 2])
def test_a_way_back_that_cannot_be_compiled_is_gone_eagerly(parts: int, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise ValueError("no such thing as a linker")

    torch.compiler.reset()
    experiment = experiment_with(training={"microbatches": parts})
    config, feed = experiment.config.training, fed(experiment, static=True)
    backend = aot_autograd(fw_compiler=lambda graph, inputs: graph, bw_compiler=broken)
    found = []
    for loss_of in (Compiled(backend=backend), None):
        model = experiment.model()
        optimizer = build_optimizer(model, config)
        steps = [training_step(model, optimizer, feed.batches(step), config, loss_of=loss_of) for step in range(2)]
        found.append([*(number for step in steps for number in step), *model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert capsys.readouterr().err.count("without compilation, which failed: ValueError: no such thing as a lin") == 1


def test_without_memory_there_is_no_second_try() -> None:
    def hungry(graph: Any, inputs: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    torch.compiler.reset()
    experiment = experiment_with()
    compiled = Compiled(backend=aot_autograd(fw_compiler=lambda graph, inputs: graph, bw_compiler=hungry))
    model, (batch,) = experiment.model(), fed(experiment, static=True).batches(0)
    with pytest.raises(torch.OutOfMemoryError):
        training_step(
            model,
            build_optimizer(model, experiment.config.training),
            [batch],
            experiment.config.training,
            loss_of=compiled,
        )


def test_of_several_bad_steps_the_first_is_told() -> None:
    """On a GPU many steps pass before anyone looks."""
    watch = FiniteWatch(CPU)
    steps = [(2.0, 1.0), (3.0, math.inf), (math.nan, math.nan), (2.0, 1.0)]
    for step, (loss, norm) in enumerate(steps, 1):
        watch.see(step, torch.tensor(loss), torch.tensor(norm))
    told = "the loss is 3.0 and the norm of its gradient inf at step 2, learning rate .*, samples 16 to 31 of"
    with pytest.raises(RunError, match=told):
        watch.check(experiment_with().config.training)


def test_rates_count_tokens_without_padding_and_with_it(tmp_path: Path) -> None:
    experiment = experiment_with()
    run = Run.begin(tmp_path / "run", experiment.config)
    train(run, experiment)
    rows = [row for row in run.read_metrics() if "loss" in row]
    for row in rows:
        assert 0 < row["tokens_per_second"] < row["padded_tokens_per_second"]


@pytest.mark.parametrize("shape", [(5, 7, 6), (6,)])
def test_the_norm_is_torchs_with_its_gradient(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    own, theirs = RMSNorm(6).double(), torch.nn.RMSNorm(6).double()
    own.weight.data = theirs.weight.data = torch.randn(6).double()
    x = torch.randn(shape).double()
    found = []
    for norm in (own, theirs):
        given = x.clone().requires_grad_()
        out = norm(given)
        (out.sin().sum()).backward()
        found.append((out, given.grad, norm.weight.grad))
        norm.weight.grad = None
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_without_a_norm_after_them_what_blocks_add_does_not_grow_with_depth() -> None:
    shape = {"layers": 3, "loops": 2}
    normed, plain = (experiment_with(model={**shape, "norm_after": after}).model() for after in (True, False))
    for one, other in zip(normed.blocks, plain.blocks, strict=True):
        for last in ("attention.out", "mlp.down"):
            expected = one.get_submodule(last).weight / math.sqrt(2 * 3 * 2)
            torch.testing.assert_close(other.get_submodule(last).weight, expected)
        assert torch.equal(one.mlp.up.weight, other.mlp.up.weight)
