"""Checkpoints that are whole or not there: built aside, synced, renamed, with a manifest of hashes written last."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from arith.errors import RunError
from arith.process.files import BUILDING, building, step_folders

FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
MANIFEST = "MANIFEST.json"
VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A run after `step` steps. Optimiser state is kept as tensors named `parameter index.name`."""

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]

    @staticmethod
    def of(step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> "Checkpoint":
        state = optimizer.state_dict()["state"]
        flat = {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}
        return Checkpoint(step, model.state_dict(), flat)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Put the weights, and the optimiser's state if there is one, where they were."""
        model.load_state_dict(self.model)
        if optimizer is not None:
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in self.optimizer.items():
                index, _, name = key.partition(".")
                state.setdefault(int(index), {})[name] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint below `folder` and remove all but the latest `keep`."""
    final = folder / f"step-{checkpoint.step:08d}"
    for left_over in folder.glob(f".step-*.{BUILDING}-*"):
        shutil.rmtree(left_over)
    with building(final) as aside:
        aside.mkdir(parents=True)
        save_file(_contiguous(checkpoint.model), aside / "model.safetensors")
        save_file(_contiguous(checkpoint.optimizer), aside / "optimizer.safetensors")
        (aside / "state.json").write_text(json.dumps({"version": VERSION, "step": checkpoint.step}))
        files = [aside / name for name in FILES]
        manifest = {file.name: {"bytes": file.stat().st_size, "sha256": _sha256(file)} for file in files}
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1))
        # Contents reach the disk before the name does: after a power cut a checkpoint of this name is whole.
        for file in [*files, aside / MANIFEST, aside]:
            _sync(file)
    _sync(folder)
    saved = step_folders(folder)
    # What is newer was damaged, or this step would not have been trained again.
    newer = [path for path in saved if path.name > final.name]
    for path in newer + saved[len(newer) + keep :]:
        shutil.rmtree(path)
    return final


def latest(folder: Path, warn: Callable[[str], None]) -> Checkpoint:
    """The newest checkpoint whose files are what they were when written; a damaged one is named and passed over."""
    for candidate in step_folders(folder):
        damage = next(_damage(candidate), None)
        if damage is None:
            try:
                return _read(candidate)
            except (SafetensorError, ValueError, KeyError, TypeError) as error:
                damage = f"it cannot be read ({error})"
        warn(f"checkpoint {candidate} is refused: {damage}. Using the previous one")
    raise RunError(f"there is no usable checkpoint in {folder}")


def any_exist(folder: Path) -> bool:
    """Whether there is a checkpoint, whole or not."""
    return bool(step_folders(folder))


def _read(folder: Path) -> Checkpoint:
    state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    if state["version"] != VERSION:
        raise RunError(
            f"checkpoint {folder} is of version {state['version']}, and this arith reads version {VERSION}. "
            "Use the arith that wrote it"
        )
    return Checkpoint(
        state["step"], load_file(folder / "model.safetensors"), load_file(folder / "optimizer.safetensors")
    )


def _damage(folder: Path) -> Iterator[str]:
    """What is wrong with a checkpoint's files."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        yield f"{MANIFEST} cannot be read ({error.__class__.__name__})"
        return
    if set(expected) != set(FILES):
        yield f"{MANIFEST} is not about {', '.join(FILES)}"
    for name, (size, digest) in expected.items():
        file = folder / name
        if not file.is_file():
            yield f"{name} is missing"
        elif file.stat().st_size != size:
            yield f"{name} has {file.stat().st_size} bytes instead of {size}"
        elif _sha256(file) != digest:
            yield f"{name} was altered after it was written"


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
