"""Checkpoints that are whole or not there: built aside, synced, renamed, with a manifest of hashes written last."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from arith.errors import RunError, UsageError
from arith.process.files import BUILDING, building, step_folders

FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
MANIFEST = "MANIFEST.json"
WEIGHTS = "weights."  # before the names of training's own weights, in the file of the optimiser's state
VERSION = 1  # of the files and their names; to be raised when an older arith could not read them


@dataclass(frozen=True)
class Checkpoint:
    """A run after `step` steps. Optimiser state is kept as tensors named `parameter index.name`.

    Args:
        step: the number of steps.
        model: the weights that are tested, exported or begun from.
        optimizer: the optimiser's state.
        weights: where `model` is an average, the weights with which training goes on.
    """

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    weights: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def of(
        step: int, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor] | None = None
    ) -> "Checkpoint":
        # Flat names, as safetensors stores a table of tensors and nothing nested. Parameter groups are left out: they
        # follow from the configuration.
        state = optimizer.state_dict()["state"]
        flat = {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}
        weights = model.state_dict()
        return Checkpoint(step, weights, flat) if average is None else Checkpoint(step, average, flat, weights)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Load the weights into a model, and the moments into an optimiser if one is given.

        With an optimiser the weights are those with which training goes on, and not their average.

        Raises:
            UsageError: the weights are of a model of another shape.
        """
        try:
            model.load_state_dict(self.weights if self.weights and optimizer is not None else self.model)
        except RuntimeError as error:
            # torch lists every tensor, one a line below a heading; the first says enough.
            first = str(error).partition("\n")[2].strip().partition("\n")[0] or str(error)
            raise UsageError(f"the weights are not of the model that the configuration describes: {first}") from error
        if optimizer is not None:
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in self.optimizer.items():
                index, _, name = key.partition(".")
                state.setdefault(int(index), {})[name] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint below `folder` and remove all but the latest `keep`.

    The order of writes decides what a crash leaves:

        files -> manifest of their hashes -> fsync of each -> rename to step-N -> fsync of the parent -> remove old ones

    Before the rename there is no checkpoint of this name, after it there is a whole one, and the older ones are there
    until it is.
    """
    final = folder / f"step-{checkpoint.step:08d}"
    # What a killed process left bears its process number, so no other write would ever replace it.
    for left_over in folder.glob(f".step-*.{BUILDING}-*"):
        shutil.rmtree(left_over)
    with building(final) as aside:
        aside.mkdir(parents=True)
        save_file(_contiguous(checkpoint.model), aside / "model.safetensors")
        # Weights beside an average are training's own business, as moments are: whoever uses the model reads one file.
        own = {f"{WEIGHTS}{name}": tensor for name, tensor in checkpoint.weights.items()}
        save_file(_contiguous(checkpoint.optimizer | own), aside / "optimizer.safetensors")
        (aside / "state.json").write_text(json.dumps({"version": VERSION, "step": checkpoint.step}), encoding="utf-8")
        files = [aside / name for name in FILES]
        manifest = {file.name: {"bytes": file.stat().st_size, "sha256": _sha256(file)} for file in files}
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        # Contents reach the disk before the name does: after a power cut a checkpoint of this name is whole.
        for file in [*files, aside / MANIFEST, aside]:
            _sync(file)
    # A rename is an entry in the parent folder, which is a file of its own to the disk.
    _sync(folder)
    saved = step_folders(folder)
    # What is newer was damaged, or this step would not have been trained again.
    newer = [path for path in saved if path.name > final.name]
    for path in newer + saved[len(newer) + keep :]:
        shutil.rmtree(path)
    return final


def latest(folder: Path, warn: Callable[[str], None]) -> Checkpoint:
    """The newest checkpoint whose files are as they were written; a damaged one is reported and passed over.

    Raises:
        RunError: none is usable.
    """
    for candidate in step_folders(folder):
        damage = next(_damage(candidate), None)
        if damage is None:
            # Whole files can still be unreadable: a manifest proves that they are as written, not what wrote them.
            try:
                return _read(candidate)
            except (SafetensorError, ValueError, KeyError, TypeError) as error:
                damage = f"it cannot be read ({error})"
        warn(f"checkpoint {candidate} is refused: {damage}. Using the previous one")
    raise RunError(f"there is no usable checkpoint in {folder}")


def at_step(folder: Path, step: int) -> Checkpoint:
    """The checkpoint of one step.

    Raises:
        UsageError: there is none.
        RunError: it is damaged.
    """
    found = {int(path.name.removeprefix("step-")): path for path in step_folders(folder)}
    if step not in found:
        there = ", ".join(map(str, sorted(found))) or "none"
        raise UsageError(f"{folder} holds no checkpoint of step {step}. Steps there: {there}")
    damage = next(_damage(found[step]), None)
    if damage is not None:
        raise RunError(f"checkpoint {found[step]} is refused: {damage}")
    return _read(found[step])


def any_exist(folder: Path) -> bool:
    """Whether there is a checkpoint, whole or not."""
    return bool(step_folders(folder))


def _read(folder: Path) -> Checkpoint:
    state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if state["version"] != VERSION:
        raise RunError(
            f"checkpoint {folder} is of version {state['version']}, and this arith reads version {VERSION}. "
            "Use the arith that wrote it"
        )
    kept = load_file(folder / "optimizer.safetensors")
    weights = {name: kept.pop(name) for name in list(kept) if name.startswith(WEIGHTS)}
    own = {name.removeprefix(WEIGHTS): tensor for name, tensor in weights.items()}
    return Checkpoint(state["step"], load_file(folder / "model.safetensors"), kept, own)


def _damage(folder: Path) -> Iterator[str]:
    """Each thing that is wrong with a checkpoint's files, in words."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        yield f"{MANIFEST} cannot be read ({error.__class__.__name__})"
        return
    # A manifest of fewer files would vouch for a checkpoint that lacks some.
    if set(expected) != set(FILES):
        yield f"{MANIFEST} is not about {', '.join(FILES)}"
    # Cheapest first: a file that was cut short is found without reading it.
    for name, (size, digest) in expected.items():
        file = folder / name
        if not file.is_file():
            yield f"{name} is missing"
        elif file.stat().st_size != size:
            yield f"{name} has {file.stat().st_size} bytes instead of {size}"
        elif _sha256(file) != digest:
            yield f"{name} was altered after it was written"


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # safetensors refuses a view whose numbers do not lie in order, such as a transposed weight.
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)  # a folder cannot be opened otherwise, and fsync needs no more
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
