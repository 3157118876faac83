"""Checkpoints: whole, checked, and never lost by accident."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from arith.errors import RunError
from arith.experiment import checkpoints
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.training.loop import train
from tests.arith.short import saved_often

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


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
    config = saved_often()
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


def test_folders_of_the_users_own_among_the_checkpoints_are_left_alone(arith: Arith, tmp_path: Path) -> None:
    arith("train", *TINY, "--set", "training.checkpoint_every=2", "--out", "runs/run")
    saved = tmp_path / "runs" / "run" / "checkpoints"
    (saved / "step-00000004").rename(saved / "step-best")
    assert arith("list", "runs").exit_code == 0
    assert arith("train", "--resume", "--out", "runs/run").exit_code == 0
    assert {path.name for path in saved.iterdir()} == {"step-00000002", "step-00000004", "step-best"}
