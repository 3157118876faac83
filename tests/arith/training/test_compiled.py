"""Steps that are compiled, and those that cannot be."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd

from arith.experiment.run import Run
from arith.training.compiled import Compiled, loss_for, missing
from arith.training.loop import train
from arith.training.optimiser import build_optimizer
from arith.training.step import batch_loss, training_step
from tests.arith.training.feeding import experiment_with, fed

CPU = torch.device("cpu")
COMPILED = [
    *("nope", "rope", "t5", "alibi", "kerple", "sandwich", "fire", "cope", "dape", "forgetting", "shaw", "xpos"),
    *("relative-logits:ahead=2@coupled", "pope", "grape"),
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


def test_each_number_of_loops_is_compiled_once() -> None:
    torch.compiler.reset()
    graphs = []

    def counting(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    experiment = experiment_with(model={"layers": 1, "loops": "1-3"}, data={"digits": "3"})
    feed, model = fed(experiment, static=True), experiment.model()
    compiled = Compiled(backend=counting, depths=3)
    batches = [feed.batches(step)[0] for step in range(12)]
    losses = [compiled(model, batch) for batch in batches]
    assert compiled._compiled is not None, "it fell back to eager"
    assert len(graphs) == len({batch.drawn_loops for batch in batches}) == 3
    torch.testing.assert_close(losses, [model.loss(batch) for batch in batches])


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
