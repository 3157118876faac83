"""Faults that a run survives: docs/reliability.md says which promise each test holds."""

import json
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from arith.config.schema import RunConfig
from arith.errors import RunError, UsageError
from arith.experiment import checkpoints
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.process.lock import in_use, lock_folder
from arith.sweeps import worker
from arith.training.environment import explain_out_of_memory
from arith.training.loop import train
from arith.training.optimiser import build_optimizer
from arith.training.step import training_step

Arith = Callable[..., Result]
GOLDEN = Path(__file__).parents[2] / "golden"
SHORT = {
    "training": {"steps": 12, "batch": 16, "checkpoint_every": 4, "evaluate_every": 6, "log_every": 1},
    "model": {"width": 32, "hidden": 32},
    "evaluation": {"digits": [2], "samples": 10},
}
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


def short(**changes: object) -> RunConfig:
    return RunConfig.of(SHORT).with_values(changes)


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_step_that_is_no_number_changes_nothing(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    config = short()
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


def test_a_loss_that_is_no_number_is_told_with_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = short()
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


def _hold(folder: str, ready: "multiprocessing.Queue[int]") -> None:
    with lock_folder(Path(folder)):
        ready.put(os.getpid())
        time.sleep(60)


def test_a_folder_is_for_one_process_and_a_lock_dies_with_its_holder(arith: Arith, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    holder = context.Process(target=_hold, args=(str(tmp_path / "run"), ready))
    holder.start()
    pid = ready.get()
    refused = arith("train", *TINY, "--out", "run")
    assert refused.exit_code == 2
    assert f"run is in use by process {pid} on" in refused.stderr
    assert in_use(tmp_path / "run")
    holder.kill()
    holder.join()
    assert (tmp_path / "run" / "lock").is_file(), "a killed process leaves its file"
    assert not in_use(tmp_path / "run")
    assert arith("train", *TINY, "--out", "run").exit_code == 0


def test_a_lock_leaves_nothing_in_a_folder_that_is_no_run(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert arith("train", *TINY, "--out", "mine", "--overwrite").exit_code == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, BYTES))
from arith.cli import main
main()
"""


def limited(folder: Path, size: int, *arguments: str) -> str:
    """What a command says that may write no larger files: that fails as a full disk does, within what writes them."""
    command = [sys.executable, "-c", LIMITED.replace("BYTES", str(size)), *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    said = " ".join(ended.stderr.split())
    assert "train --resume --out run" in said
    return said


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(arith: Arith, tmp_path: Path) -> None:
    assert arith("train", *TINY, "--set", "training.checkpoint_every=2", "--out", "run").exit_code == 0
    saved = tmp_path / "run" / "checkpoints"
    shutil.rmtree(saved / "step-00000004")
    said = limited(tmp_path, 200_000, "train", "--resume", "--out", "run")
    assert "the checkpoint of step 4 could not be written" in said
    assert [path.name for path in saved.iterdir()] == ["step-00000002"], "whole, and nothing half-written"
    assert arith("train", "--resume", "--out", "run").exit_code == 0


def test_metrics_that_cannot_be_written_end_the_run_too(arith: Arith, tmp_path: Path) -> None:
    many = ("--steps", "60", "--set", "training.log_every=1", "--set", "training.checkpoint_every=1000")
    said = limited(tmp_path, 2_500, "train", *TINY, *many, "--out", "run")
    assert "the metrics could not be written" in said
    assert arith("train", "--resume", "--out", "run").exit_code == 0


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch attacked",)


def test_a_pickle_offered_as_a_checkpoint_executes_nothing(arith: Arith, tmp_path: Path) -> None:
    assert arith("train", *TINY, "--out", "run").exit_code == 0
    folder = next((tmp_path / "run" / "checkpoints").iterdir())
    (folder / "model.safetensors").write_bytes(pickle.dumps(Attack()))
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    size, digest = len(pickle.dumps(Attack())), checkpoints._sha256(folder / "model.safetensors")
    manifest["model.safetensors"] = {"bytes": size, "sha256": digest}
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    refused = arith("ask", "run", "1+1")
    assert refused.exit_code == 1
    assert "it cannot be read" in refused.stderr
    assert not (tmp_path / "attacked").exists()


def test_a_checkpoint_of_another_version_is_refused_by_its_version(tmp_path: Path) -> None:
    config = short()
    run = Run.begin(tmp_path / "run", config)
    train(run, Experiment.of(config))
    for folder in run.checkpoints.iterdir():
        state = folder / "state.json"
        state.write_text(json.dumps({**json.loads(state.read_text()), "version": 0}))
        manifest = json.loads((folder / "MANIFEST.json").read_text())
        manifest["state.json"] = {"bytes": state.stat().st_size, "sha256": checkpoints._sha256(state)}
        (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"is of version 0, and this arith reads version 1"):
        run.load_model(Experiment.of(config))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 8 GB"), MemoryError()]
)
def test_out_of_memory_names_the_knob(error: Exception) -> None:
    config = RunConfig().training
    with (
        pytest.raises(RunError, match=r"128 samples a step of up to 62 tokens.*--batch"),
        explain_out_of_memory(config, 62),
    ):
        raise error
    with pytest.raises(RuntimeError, match="something else"), explain_out_of_memory(config, 62):
        raise RuntimeError("something else")


def test_tensorboard_that_is_missing_or_fails_stops_nothing(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    trained = arith("train", *TINY, "--tensorboard", "--out", "run")
    assert trained.exit_code == 0
    assert trained.stderr.count("TensorBoard gets no metrics") == 1
    assert (tmp_path / "run" / "metrics.jsonl").stat().st_size


def test_deterministic_runs_are_equal_to_the_bit(arith: Arith, tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        assert arith("train", *TINY, "--deterministic", "--encoding", "t5+abacus", "--out", name).exit_code == 0
        manifest = next((tmp_path / name / "checkpoints").iterdir()) / "MANIFEST.json"
        digests.append(json.loads(manifest.read_text())["model.safetensors"]["sha256"])
    assert digests[0] == digests[1]
    assert not torch.are_deterministic_algorithms_enabled()


def test_minutes_fix_the_steps_and_the_run_replays(arith: Arith, tmp_path: Path) -> None:
    bounded = arith("train", *TINY, "--minutes", "0.03", "--out", "run")
    assert bounded.exit_code == 0, bounded.output
    training = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["training"]
    assert training["steps"] > 20
    assert training["warmup"] >= training["steps"] * 20 // 5, "a warm-up of 20 in 4 steps keeps its proportion"
    seconds = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]
    assert seconds < 20
    replayed = arith("train", "--recipe", "run/run.json", "--out", "again")
    assert replayed.exit_code == 0
    first, second = (json.loads((tmp_path / name / "results.json").read_text())["cells"] for name in ("run", "again"))
    assert [cell["correct"] for cell in first] == [cell["correct"] for cell in second]
    for wrong in (("--minutes", "0"), ("--minutes", "1", "--resume", "--out", "run")):
        assert arith("train", *TINY, *wrong).exit_code == 2


def test_runs_are_listed_with_state_and_claim(arith: Arith, tmp_path: Path) -> None:
    arith("train", *TINY, "--out", "runs/done")
    arith("train", *TINY, "--out", "runs/stopped")
    (tmp_path / "runs" / "stopped" / "results.json").unlink()
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{")
    found = {row["folder"]: row for row in json.loads(arith("list", "runs", "--json").stdout)}
    assert found["runs/done"]["state"] == "finished"
    assert "on the 1-2 digits of training" in found["runs/done"]["claim"]
    assert found["runs/stopped"]["state"] == "stopped"
    assert found["runs/broken"]["state"] == "unreadable run.json"
    with lock_folder(tmp_path / "runs" / "stopped"):
        assert re.search("runs/stopped +running +4/4", arith("list", "runs").stdout)
    assert arith("list", "runs", "--folder", "nowhere").exit_code == 2


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


def test_other_settings_are_refused_on_resume_with_the_differences(arith: Arith) -> None:
    arith("train", *TINY, "--out", "run")
    refused = arith("train", "--resume", "--out", "run", "--batch", "16", "--encoding", "rope")
    assert refused.exit_code == 2
    assert "training.batch: 8 before, 16 now" in refused.stderr
    assert "encoding: coupled-window before, rope now" in refused.stderr


def test_a_signal_during_the_tests_says_how_to_resume(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "arith", "train", *TINY, "--out", "run", "--set", "evaluation.samples=200000"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train"):
            break
    process.terminate()
    said = process.stderr.read()
    assert process.wait(30) == 130
    assert "train --resume --out run" in said
    assert (tmp_path / "run" / "checkpoints" / "step-00000004").is_dir()


@pytest.mark.parametrize("part", ["training", "tests", "results"])
def test_a_signal_between_two_parts_of_a_command_is_not_lost(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """After the last step, after the last test and while results are written nothing asks for signals any more."""
    name = {"training": "train", "tests": "measured", "results": "saved"}[part]
    work = getattr(worker, name)

    def then_signal(*given: object) -> object:
        done = work(*given)
        signal.raise_signal(signal.SIGTERM)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(worker, name, then_signal)
        stopped = arith("train", *TINY, "--out", "run")
    assert stopped.exit_code == 130
    assert "train --resume --out run" in stopped.stderr
    assert (tmp_path / "run" / "results.json").exists() == (part != "training")
    assert arith("train", "--resume", "--out", "run").exit_code == 0


def test_usage_errors_of_the_lock_are_usage_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file, and a run is a folder"), lock_folder(tmp_path / "file"):
        pass


def test_what_a_kill_leaves_of_run_json_is_in_nobodys_way(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").touch()
    (tmp_path / "run" / ".run.json.building-77").write_text("{")
    assert arith("train", *TINY, "--out", "run").exit_code == 0


def test_folders_of_the_users_own_among_the_checkpoints_are_left_alone(arith: Arith, tmp_path: Path) -> None:
    arith("train", *TINY, "--set", "training.checkpoint_every=2", "--out", "runs/run")
    saved = tmp_path / "runs" / "run" / "checkpoints"
    (saved / "step-00000004").rename(saved / "step-best")
    assert arith("list", "runs").exit_code == 0
    assert arith("train", "--resume", "--out", "runs/run").exit_code == 0
    assert {path.name for path in saved.iterdir()} == {"step-00000002", "step-00000004", "step-best"}


def test_several_gpus_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from arith.training.distributed import local_device

    monkeypatch.setenv("LOCAL_RANK", "3")
    assert local_device(torch.device("cuda")) == torch.device("cuda", 3)
    assert local_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert local_device(torch.device("cpu")) == torch.device("cpu")


def test_more_processes_than_samples_are_refused(tmp_path: Path) -> None:
    from arith.training.distributed import World

    config = short(training={"batch": 1})
    with pytest.raises(UsageError, match="each of 2 processes takes 1 sample"):
        train(Run.begin(tmp_path / "run", config), Experiment.of(config), World(0, 2))
