"""Training, saving and resuming; and losses that stay what they were."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from arith.config.schema import RunConfig
from arith.errors import RunError
from arith.evaluation.teacher_forced import exact_matches
from arith.experiment import checkpoints
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.process.signals import Interrupted
from arith.training.loop import train
from arith.training.step import training_step
from tests.arith.short import short

GOLDEN = Path(__file__).parents[2] / "golden"
GOLDEN_RUNS = {
    "coupled-window": {"encoding": "coupled-window"},
    "learned-t5-plain": {"encoding": "learned+t5", "format": "plain", "model": {"layers": 2, "key_heads": 2}},
    "rope-hints": {"encoding": "rope@abacus", "format": "reversed+hints", "model": {"loops": 2}},
    "dialogue-nope": {
        "task": "dialogue",
        "format": "plain+spaces",
        "encoding": "nope",
        "data": {"mix": ["50% addition"]},
    },
    # Fast enough for rotations to matter within twenty steps: without them a loss is 5% off.
    "rope-fast": {
        "encoding": "rope",
        "format": "reversed",
        "data": {"digits": "1-2"},
        "model": {"layers": 2},
        "training": {"learning_rate": 1e-2, "warmup": 5},
    },
    # The shape of paper-scale recipes: if what blocks add is not scaled at the start, a loss is 2% off.
    "norm-before-only": {
        "encoding": "nope",
        "model": {"layers": 4, "activation": "gelu", "norm_after": False},
    },
}


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    ("encoding", "loops"), [("coupled-window", 1), ("coupled", 1), ("t5", 1), ("coupled-window", "1-3")]
)
def test_resumed_run_is_bitwise_the_uninterrupted_one(
    tmp_path: Path, halted: Callable[[Run], Run], encoding: str, loops: object
) -> None:
    config = short(encoding=encoding, model={"loops": loops})
    experiment = Experiment.of(config)
    whole = Run.begin(tmp_path / "whole", config)
    expected = weights(train(whole, experiment))

    run = halted(whole)
    resumed = weights(train(run, experiment))
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    last, again = whole.read_metrics()[-1], run.read_metrics()[-1]
    assert (last["step"], last["loss"], last["accuracy"]) == (again["step"], again["loss"], again["accuracy"])
    steps = [row["step"] for row in run.read_metrics()]
    assert steps == sorted(set(steps)), "rows after the checkpoint are written once"


def test_metrics_of_a_resumed_run_are_row_by_row_those_of_the_uninterrupted_one(
    tmp_path: Path, halted: Callable[[Run], Run]
) -> None:
    whole = Run.begin(tmp_path / "whole", short())
    train(whole, Experiment.of(whole.config))
    run = halted(whole)
    train(run, Experiment.of(whole.config))
    timed = {"seconds", "tokens_per_second", "padded_tokens_per_second"}
    both = whole.read_metrics(), run.read_metrics()
    expected, found = ([{n: row[n] for n in row if n not in timed} for row in rows] for rows in both)
    assert [row["step"] for row in expected] == [3, 5, 6, 9, 10, 12]
    assert found == expected
    data = Experiment.of(whole.config).training_data()
    read = data.problems.write(data.format, 0, 12 * whole.config.training.batch).lengths
    assert expected[-1]["tokens"] == read.sum(), "prompts included, padding not"


def test_equal_seeds_give_equal_runs_and_others_do_not(tmp_path: Path) -> None:
    found = []
    for number, seed in enumerate((0, 0, 1)):
        config = short(model={"seed": seed})
        found.append(weights(train(Run.begin(tmp_path / str(number), config), Experiment.of(config))))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert not all(torch.equal(found[0][name], found[2][name]) for name in found[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    config = short()
    run = Run.begin(tmp_path / "run", config)
    taken = 0

    def step_with_signal(*arguments: object) -> object:
        nonlocal taken
        taken += 1
        if taken == 7:
            os.kill(os.getpid(), number)
        return training_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("arith.training.loop.training_step", step_with_signal)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=f"train --resume --out {run.folder}"):
        train(run, Experiment.of(config))
    assert checkpoints.latest(run.checkpoints, print).step == 7
    assert signal.getsignal(number) == before
    monkeypatch.undo()
    resumed = weights(train(run, Experiment.of(config)))
    expected = weights(train(Run.begin(tmp_path / "whole", config), Experiment.of(config)))
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_a_signal_while_validating_is_saved_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = short()
    run = Run.begin(tmp_path / "run", config)

    def validation_with_signal(*_: object) -> float:
        os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    monkeypatch.setattr("arith.training.loop.validation_accuracy", validation_with_signal)
    with pytest.raises(Interrupted):
        train(run, Experiment.of(config))
    # Validation comes after step 6; the signal is seen after the next one.
    assert checkpoints.latest(run.checkpoints, print).step == 7


@pytest.mark.parametrize(("loss", "norm"), [(float("nan"), 1.0), (1.0, float("inf"))])
def test_a_step_that_is_no_number_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: float, norm: float
) -> None:
    config = short()
    run = Run.begin(tmp_path / "run", config)
    monkeypatch.setattr("arith.training.loop.training_step", lambda *_: (torch.tensor(loss), torch.tensor(norm)))
    with pytest.raises(RunError, match="at step 1, learning rate"):
        train(run, Experiment.of(config))
    assert not checkpoints.any_exist(run.checkpoints)


def test_a_tiny_model_learns_addition(tmp_path: Path) -> None:
    # The demo's first curve at a third of its steps: far beyond what it was trained on.
    config = RunConfig.of(
        {
            "encoding": "coupled-window",
            "data": {"digits": "1-3"},
            "training": {"steps": 500, "evaluate_every": 500, "checkpoint_every": 500},
            "evaluation": {"digits": "3,20"},
        }
    )
    experiment = Experiment.of(config)
    model = train(Run.begin(tmp_path / "run", config), experiment)
    assert exact_matches(model, experiment.test_data("random", 3), 400).float().mean() > 0.98
    assert exact_matches(model, experiment.test_data("random", 20), 200).float().mean() > 0.80


def test_a_loss_that_is_no_number_is_told_with_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = short(training={"checkpoint_every": 4, "log_every": 1})
    run, taken = Run.begin(tmp_path / "run", config), 0
    real = training_step

    def seventh_is_none(*arguments: object) -> object:
        nonlocal taken
        taken += 1
        if taken == 7:
            monkeypatch.setattr(
                "arith.training.step.batch_loss", lambda model, *_: model.head.weight.sum() * float("nan")
            )
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("arith.training.loop.training_step", seventh_is_none)
    with pytest.raises(
        RunError, match=r"loss is nan .* at step 7, learning rate .*, samples 96 to 111 of the training"
    ):
        train(run, Experiment.of(config))
    assert checkpoints.latest(run.checkpoints, print).step == 4
    assert run.read_metrics()[-1]["step"] == 6


@pytest.mark.parametrize("name", GOLDEN_RUNS)
def test_losses_are_what_they_were(tmp_path: Path, name: str) -> None:
    """Twenty steps in float32. `ARITH_GOLDEN=write` writes them anew, after a change that is meant to change them."""
    values = {
        "training": {"steps": 20, "batch": 16, "log_every": 1, "evaluate_every": 20},
        "evaluation": {"digits": [2]},
    }
    config = RunConfig.of(values).with_values(GOLDEN_RUNS[name])
    run = Run.begin(tmp_path / "run", config)
    train(run, Experiment.of(config))
    losses = [row["loss"] for row in run.read_metrics()]
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("ARITH_GOLDEN") == "write":
        path.write_text("".join(f"{loss:.6f}\n" for loss in losses))
    expected = [float(line) for line in path.read_text().splitlines()]
    # Other processors add up in another order; after twenty steps that shows in the fifth digit.
    assert losses == pytest.approx(expected, rel=2e-3)
