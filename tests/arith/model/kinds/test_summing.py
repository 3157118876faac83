"""Running sums of an answer's columns as an extra target of a standard model.

Long by its lists of refusals.
"""

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result

from arith.config.schema import RunConfig
from arith.data.batch import Batch
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.model.kinds.summing import RunningSums, Summing
from arith.model.transformer import Transformer
from arith.performance.estimate import estimate
from arith.tasks import vocabulary
from arith.tasks.multiplication import Multiplication
from arith.training.compiled import Compiled
from arith.training.distributed import World
from arith.training.feed import Feed
from arith.training.loop import train
from arith.training.optimiser import build_optimizer
from arith.training.step import training_step

CPU = torch.device("cpu")
TOLD = {
    "task": "multiplication",
    "format": "padded-reversed",
    "encoding": "learned",
    "data": {"digits": "1-3"},
    "model": {"layers": 2, "width": 32, "hidden": 32},
    "auxiliary": {"kind": "running-sum"},
    "training": {"steps": 12, "batch": 16, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3},
    "evaluation": {"digits": [2], "samples": 20},
}
TASKS = ["multiplication", "addition", "addition:operands=3", "addition:operands=12"]
FORMATS = ["padded-reversed", "padded-all-reversed", "padded-reversed:width=6", "padded-all-reversed:width=4"]


def told(**changes: object) -> RunConfig:
    return RunConfig.of(TOLD).with_values(changes)


def built(config: RunConfig) -> Summing:
    model = Experiment.of(config).model()
    assert isinstance(model, Summing)
    return model


def inputs(model: Transformer, batch: Batch) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    return batch.tokens[:, :-1], tuple(own[:, :, :-1] for own in batch.placed_by(model.encoding))


def sum_loss(model: Summing, batch: Batch) -> torch.Tensor:
    return model.with_sums(batch)[1]


def schoolbook(line: str, form: str) -> tuple[list[int], list[int]]:
    """Running sums and the answer's digits of a written line, by Python's integers."""
    prompt, _, answer = line.partition("=")
    sign = "*" if "*" in prompt else "+"
    numbers = prompt.split(sign)
    if "all" in form:
        numbers = [number[::-1] for number in numbers]
    lsb = [[int(digit) for digit in reversed(number)] for number in numbers]
    own = [0] * len(answer)
    if sign == "+":
        for digits in lsb:
            for place, digit in enumerate(digits):
                own[place] += digit
    else:
        for (i, a), (j, b) in itertools.product(enumerate(lsb[0]), enumerate(lsb[1])):
            own[i + j] += a * b
    # What is carried into a column is all that is below it, in units of it.
    below = [sum(value * 10**place for place, value in enumerate(own[:k])) // 10**k for k in range(len(own))]
    return [value + carried for value, carried in zip(own, below, strict=True)], [int(digit) for digit in answer]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("task", TASKS)
def test_targets_are_those_of_the_schoolbook(task: str, form: str) -> None:
    config = told(task=task, format=form, data={"digits": "1-4", "carry_mix": 0.3 if task == "addition" else 0.0})
    experiment = Experiment.of(config)
    model, batch = built(config), experiment.training_data().batch(0, 200, CPU)
    found = model.sums.targets(batch)
    widths = set()
    for row, sums in enumerate(found.tolist()):
        expected, digits = schoolbook(vocabulary.decode(batch.tokens[row].numpy()), form)
        assert sums[: len(expected)] == expected
        assert [own % 10 for own in expected] == digits
        widths.add(len(expected))
    assert (len(widths) == 1) == ("width" in form), "rows of several widths, unless the format fixes them"
    assert 0 <= int(found.min()) <= int(found.max()) < model.sums.classes


@pytest.mark.parametrize("task", TASKS)
def test_no_sum_is_beyond_the_classes(task: str) -> None:
    """Of nines, which have the largest, in each column."""
    config = told(task=task, format="padded-reversed", data={"digits": "4-4"})
    experiment = Experiment.of(config)
    batch = experiment.training_data().batch(0, 1, CPU)
    tokens = torch.where(batch.tokens < 10, 9, batch.tokens)
    nines = dataclasses.replace(batch, samples=batch.samples._replace(tokens=tokens.to(torch.uint8)))
    model = built(config)
    highest = int(model.sums.targets(nines).max())
    assert highest < model.sums.classes
    assert highest > 0.85 * model.sums.classes


def test_places_are_those_whose_logits_say_the_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both heads look at the same tokens: what stands there, read a token later, is S mod 10."""
    config = told(data={"digits": "1-5"})
    model, batch = built(config), Experiment.of(config).training_data().batch(0, 50, CPU)
    asked: dict[str, torch.Tensor] = {}

    def seen(tokens: torch.Tensor, ids: Any, queries: int, picked: Any, places: torch.Tensor) -> Any:
        asked["places"] = places
        return Summing.forward_with_sums(model, tokens, ids, queries, picked, places)

    monkeypatch.setattr(model, "forward_with_sums", seen)
    sum_loss(model, batch)
    width = batch.samples.answer_width
    assert width is not None
    inside = torch.arange(asked["places"].shape[1]) < width[:, None]
    assert asked["places"].shape[1] == int(width.max())
    read = batch.tokens.gather(1, asked["places"] + 1)
    assert torch.equal(read[inside], (model.sums.targets(batch) % 10)[inside])


def test_the_loss_is_that_of_each_column() -> None:
    config = told(auxiliary={"weight": 0.3})
    model, batch = built(config), Experiment.of(config).training_data().batch(0, 30, CPU)
    plain = Transformer.forward(model, *inputs(model, batch))
    expected = torch.zeros(())
    for row, (begin, length) in enumerate(zip(batch.samples.prompt_length, batch.length, strict=True)):
        places = torch.arange(int(begin) - 1, int(length) - 1)
        answers = torch.nn.functional.cross_entropy(plain[row, places], batch.tokens[row, places + 1], reduction="sum")
        _, sums = model.forward_with_sums(*inputs(model, batch), 1, None, places[:-1].expand(30, -1))
        target = model.sums.targets(batch)[row, : len(places) - 1]
        expected = expected + answers + 0.3 * torch.nn.functional.cross_entropy(sums[row], target, reduction="sum")
    asked = (batch.length - batch.samples.prompt_length).sum()
    torch.testing.assert_close(model.loss(batch), expected / asked)


@pytest.mark.parametrize("layer", [1, 2])
def test_logits_are_those_of_a_transformer(layer: int) -> None:
    config = told(auxiliary={"layer": layer}, model={"layers": 3})
    model, batch = built(config), Experiment.of(config).training_data().batch(0, 20, CPU)
    plain = Experiment.of(config.with_values({"auxiliary": {"kind": None}})).model()
    assert type(plain) is Transformer
    state = plain.state_dict()
    assert all(torch.equal(own, state[name]) for name, own in model.state_dict().items() if name in state)
    assert {name for name in model.state_dict() if name not in state} == {"sum_norm.weight", "sum_head.weight"}
    expected = plain(*inputs(plain, batch), queries=batch.queries, picked=batch.picked)
    assert torch.equal(model(*inputs(model, batch), queries=batch.queries, picked=batch.picked), expected)
    logits, _ = model.with_sums(batch)
    assert torch.equal(logits, expected)
    # What is above the head learns nothing from it, and what is below does.
    sum_loss(model, batch).backward()
    learning = [any(own.grad is not None for own in block.parameters()) for block in model.blocks]
    assert learning == [place < layer for place in range(3)]


@pytest.mark.parametrize(("processes", "parts", "static"), [(1, 3, False), (1, 1, True), (2, 2, True)])
def test_losses_and_gradients_of_the_parts_add_up(processes: int, parts: int, static: bool) -> None:
    config = told(data={"digits": "1-7"}, training={"microbatches": parts})
    experiment = Experiment.of(config)
    model = experiment.model().double()
    whole = model.loss(experiment.training_data().batch(32, 16, CPU))
    expected = torch.autograd.grad(whole, list(model.parameters()))
    feeds = [
        Feed(experiment.training_data(), model.encoding, config.training, CPU, World(rank, processes), static)
        for rank in range(processes)
    ]
    losses = [model.loss(batch) for feed in feeds for batch in feed.batches(2)]
    assert len(losses) == processes * parts
    torch.testing.assert_close(torch.stack(losses).sum(), whole)
    found = torch.autograd.grad(torch.stack(losses).sum(), list(model.parameters()))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("task", ["multiplication", pytest.param("addition", marks=pytest.mark.slow)])
def test_the_step_is_one_graph_with_the_numbers_of_the_eager_one(task: str) -> None:
    torch.compiler.reset()
    experiment = Experiment.of(told(task=task, training={"batch": 8}))
    config = experiment.config.training
    feed = Feed(experiment.training_data(), experiment.encoding(), config, CPU, static=True)
    compiled = Compiled(backend="aot_eager")
    found = []
    for loss_of in (compiled, None):
        model = experiment.model()
        optimizer = build_optimizer(model, config)
        found.append(
            [training_step(model, optimizer, feed.batches(step), config, loss_of=loss_of) for step in range(2)]
        )
    assert compiled._compiled is not None, "it fell back to eager"
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "subtraction"}, "subtraction has no running sums"),
        ({"task": "reverse", "format": "reversed"}, "got 'reversed'. Use padded-reversed or"),
        ({"format": "padded"}, "got 'padded'. Use padded-reversed or"),
        ({"format": "padded-reversed+hints"}, "padded-reversed or padded-all-reversed"),
        ({"format": "padded-reversed+scratchpad", "task": "addition"}, "padded-reversed or padded-all-reversed"),
        ({"format": "padded-reversed:pad=answer"}, "padded-reversed or padded-all-reversed"),
        ({"format": "interleaved-reversed"}, "padded-reversed or padded-all-reversed"),
        ({"data": {"mix": ["50% addition 1-3"]}}, "learned from one task"),
        ({"trace": {"kind": "carry-save"}, "encoding": "sliding-window"}, "leave trace.kind or auxiliary.kind out"),
        ({"model": {"loops": 2}}, "model.loops is 1, got 2"),
        ({"training": {"loss": "line"}}, "leave training.loss at answer, got line"),
        ({"model": {"layers": 1}}, "Got 1, with model.layers 1"),
        ({"auxiliary": {"layer": 0}}, "auxiliary.layer is 1 or more, got 0"),
        ({"auxiliary": {"layer": 2}}, "Got 2, with model.layers 2"),
        ({"auxiliary": {"weight": 0.0}}, "auxiliary.weight is above 0, got 0.0"),
        ({"auxiliary": {"weight": float("nan")}}, "auxiliary.weight is above 0, got nan"),
        ({"auxiliary": {"kind": "sum"}}, "auxiliary.kind is"),
    ],
)
def test_what_cannot_be_told_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Experiment.of(told(**changes))


def test_a_pretrained_model_is_refused(gpt2: Path) -> None:
    with pytest.raises(UsageError, match=r"leave auxiliary.kind or model.init out"):
        Experiment.of(told(model={"init": f"hf:{gpt2}"}, encoding="pretrained"))


def test_nothing_is_told_unless_it_is_asked_for() -> None:
    described = RunConfig.of(TOLD).as_dict()
    del described["auxiliary"]  # as in a run.json from before there was such a thing
    old = Experiment.of(RunConfig.of(described))
    assert old.sums is None
    assert old.supervised_by == "answers"
    assert type(old.model()) is Transformer
    assert Experiment.of(told()).supervised_by == "algorithm"
    # Where nothing is told, the other settings say nothing.
    assert Experiment.of(told(auxiliary={"kind": None, "layer": 1}, model={"layers": 1})).sums is None


def test_classes_are_of_the_longest_operands_in_training() -> None:
    of = {
        "1-3": told(),
        "width": told(format="padded-reversed:width=5"),
        "schedule": told(data={"digits": "1-2", "schedule": 100, "first_digits": "1-4"}),
        "fixed": told(data={"samples": 50}, evaluation={"digits": [9]}),
    }
    found = {name: built(config).sums.digits for name, config in of.items()}
    assert found == {"1-3": 3, "width": 5, "schedule": 4, "fixed": 3}
    assert RunningSums.of(Multiplication(), 3) == built(of["1-3"]).sums


def test_an_estimate_takes_one_layer_without_a_head() -> None:
    assert estimate(Experiment.of(told()))["seconds_per_step"] > 0


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tmp_path: Path, halted: Callable[[Run], Run]) -> None:
    config = told()
    experiment = Experiment.of(config)
    whole = Run.begin(tmp_path / "whole", config)
    expected = train(whole, experiment).state_dict()
    resumed = train(halted(whole), experiment).state_dict()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_running_sums_are_learned(tmp_path: Path) -> None:
    """Better than by how often each comes in a column, which is what can be said without looking at operands."""
    training = {"steps": 80, "batch": 64, "learning_rate": 0.01, "evaluate_every": 80, "checkpoint_every": 80}
    config = told(task="addition", data={"digits": "1-1"}, training=training)
    experiment = Experiment.of(config)
    batch = experiment.training_data().batch(10_000, 400, CPU)
    trained = train(Run.begin(tmp_path / "run", config), experiment)
    assert isinstance(trained, Summing)
    shares = [column.bincount() / len(column) for column in trained.sums.targets(batch).T]
    blind = sum(float(torch.special.entr(share).sum()) for share in shares)
    with torch.no_grad():
        before, after = (float(sum_loss(own, batch)) / 400 for own in (built(config), trained))
    assert after < 0.5 * blind < before


def test_from_the_command_line(arith: Callable[..., Result], tmp_path: Path) -> None:
    small = ("--set", "model.layers=2", "--set", "model.width=16", "--set", "model.heads=2", "--set", "model.hidden=16")
    short = ("--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1,2", "--samples", "5")
    asked = ("--encoding", "learned", "--format", "padded-reversed", "--set", "auxiliary.kind=running-sum")
    ran = arith("train", "multiplication", *asked, *small, *short, "--out", "run")
    assert ran.exit_code == 0, ran.output
    cells = json.loads((tmp_path / "run" / "results.json").read_text())["cells"]
    assert {cell["supervision"] for cell in cells} == {"algorithm"}
    again = arith("evaluate", "run", "--test-digits", "2", "--failures", "2")
    assert again.exit_code == 0, again.output
    replied = arith("ask", "run", "12*34")
    assert replied.exit_code in (0, 1), replied.output
    assert "408" in replied.output  # the right answer stands beside a wrong one
    refused = arith("train", "multiplication", *asked, "--set", "model.layers=1", "--out", "other")
    assert refused.exit_code == 2
    assert "auxiliary.layer says how many layers are below" in refused.stderr


def test_an_exported_model_answers_alike(arith: Callable[..., Result], tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    names = ("--set", "auxiliary.kind=running-sum", "--set", "model.layers=2", "--set", "training.steps=2")
    asked = ("--encoding", "learned", "--format", "padded-reversed", "--test-digits", "1", "--samples", "5")
    ran = arith("train", "multiplication", *asked, *names, "--digits", "1-1", "--out", "run")
    assert ran.exit_code == 0, ran.output
    out = arith("export", "run", "--to", "taken")
    assert out.exit_code == 0, out.output
    assert "told every step of an algorithm" in (tmp_path / "taken" / "README.md").read_text()
    problems = [f"{a}*{b}" for a in range(2, 8) for b in range(2, 8)]
    assert arith("ask", "taken", *problems).output == arith("ask", "run", *problems).output
    from arith.hf.model import ArithForCausalLM

    loaded = ArithForCausalLM.from_pretrained(tmp_path / "taken")
    assert isinstance(loaded.transformer, Summing)
