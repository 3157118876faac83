"""Training, saving and going on."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from arith.config.schema import RunConfig
from arith.errors import RunError, UsageError
from arith.evaluation.teacher_forced import exact_matches
from arith.experiment import checkpoints
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.process.signals import Interrupted
from arith.training.loop import train
from arith.training.step import training_step

SHORT = {
    "training": {"steps": 12, "batch": 16, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3},
    "model": {"width": 32, "hidden": 32},
}


def short(**changes: object) -> RunConfig:
    return RunConfig.of(SHORT).with_values(changes)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("encoding", ["coupled-window", "coupled", "t5"])
def test_resumed_run_is_bitwise_the_uninterrupted_one(
    tmp_path: Path, halted: Callable[[Run], Run], encoding: str
) -> None:
    config = short(encoding=encoding)
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


def test_a_cut_line_of_metrics_is_dropped(tmp_path: Path) -> None:
    config = short()
    run = Run.begin(tmp_path / "run", config)
    train(run, Experiment.of(config))
    rows = run.read_metrics()
    with run.metrics.open("a") as opened:
        opened.write('{"step": 13, "lo')
    assert run.read_metrics() == rows


def saved(folder: Path, *steps: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    for step in steps:
        with torch.no_grad():
            model.weight.fill_(step)
        checkpoints.save(folder, Checkpoint.of(step, model, optimizer), keep=5)
    return model, optimizer


def flip_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "was altered": lambda folder: flip_bit(folder / "model.safetensors"),
    "bytes instead of": lambda folder: (folder / "optimizer.safetensors").write_bytes(b"short"),
    "is missing": lambda folder: (folder / "state.json").unlink(),
    "MANIFEST.json cannot be read": lambda folder: (folder / "MANIFEST.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_named_and_the_previous_one_used(tmp_path: Path, damage: str) -> None:
    saved(tmp_path, 1, 2)
    DAMAGES[damage](tmp_path / "step-00000002")
    said: list[str] = []
    found = checkpoints.latest(tmp_path, said.append)
    assert found.step == 1
    assert float(found.model["weight"][0, 0]) == 1
    assert len(said) == 1
    assert "step-00000002" in said[0]
    assert damage in said[0]


def test_without_a_usable_checkpoint_it_says_so(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    flip_bit(tmp_path / "step-00000001" / "model.safetensors")
    with pytest.raises(RunError, match="no usable checkpoint"):
        checkpoints.latest(tmp_path, print)


def test_half_written_checkpoints_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = saved(tmp_path, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(tmp_path, Checkpoint.of(2, model, optimizer), keep=5)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoints.latest(tmp_path, print).step == 1


@pytest.mark.parametrize("content", ["{}", "[1]", '{"model.safetensors": 3}', '{"model.safetensors": {"bytes": 1}}'])
def test_altered_manifest_is_no_manifest(tmp_path: Path, content: str) -> None:
    saved(tmp_path, 1, 2)
    (tmp_path / "step-00000002" / "MANIFEST.json").write_text(content)
    said: list[str] = []
    assert checkpoints.latest(tmp_path, said.append).step == 1
    assert "MANIFEST.json" in said[0]


def test_damaged_checkpoint_does_not_push_out_a_good_one(tmp_path: Path) -> None:
    model, optimizer = saved(tmp_path, 1, 2, 3)
    flip_bit(tmp_path / "step-00000003" / "model.safetensors")
    checkpoints.save(tmp_path, Checkpoint.of(2, model, optimizer), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]
    assert checkpoints.latest(tmp_path, print).step == 2


def test_old_checkpoints_are_removed(tmp_path: Path) -> None:
    model, optimizer = saved(tmp_path, 1, 2, 3)
    checkpoints.save(tmp_path, Checkpoint.of(4, model, optimizer), keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


def test_checkpoint_restores_weights_and_optimiser(tmp_path: Path) -> None:
    model, optimizer = saved(tmp_path, 7)
    other = torch.nn.Linear(3, 3)
    fresh = torch.optim.AdamW(other.parameters())
    checkpoints.latest(tmp_path, print).restore(other, fresh)
    assert torch.equal(other.weight, model.weight)
    for old, new in zip(optimizer.state.values(), fresh.state.values(), strict=True):
        assert all(torch.equal(old[name], new[name]) for name in old)


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


def test_folders_are_never_lost_by_accident(tmp_path: Path) -> None:
    config = short()
    Run.begin(tmp_path / "run", config)
    with pytest.raises(UsageError, match="--resume, replace it by --overwrite"):
        Run.begin(tmp_path / "run", config)
    with pytest.raises(UsageError, match=r"training\.batch: 16 before, 32 now"):
        Run.begin(tmp_path / "run", short(training={"batch": 32}), "resume")
    assert Run.begin(tmp_path / "run", short(training={"log_every": 1}), "resume").config.training.log_every == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for when_there in ("resume", "overwrite"):
        with pytest.raises(UsageError, match="holds no run"):
            Run.begin(tmp_path / "mine", config, when_there)  # type: ignore[arg-type]
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_run_json_says_what_made_it(tmp_path: Path) -> None:
    config = short()
    described = json.loads((Run.begin(tmp_path / "run", config).folder / "run.json").read_text())
    assert RunConfig.of(described["config"]) == config
    assert described["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert {"commit", "command", "created", "device", "imports"} <= set(described)
    assert Run.open(tmp_path / "run").config == config


@pytest.mark.parametrize("encoding", ["rope@randomized:span=99", "rope@pose:span=99", "bipe"])
def test_loss_of_a_sample_does_not_depend_on_its_batch(encoding: str) -> None:
    experiment = Experiment.of(RunConfig.of({"encoding": encoding, "format": "reversed", "data": {"digits": "1-4"}}))
    model, data = experiment.model().double(), experiment.training_data()
    together = data.batch(0, 8, torch.device("cpu"))
    alone = [data.batch(row, 1, torch.device("cpu")) for row in range(8)]
    assert len({batch.tokens.shape for batch in alone}) > 1
    summed = sum(model.loss(batch) * batch.answer_mask.sum() for batch in alone)
    torch.testing.assert_close(model.loss(together) * together.answer_mask.sum(), summed)


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
