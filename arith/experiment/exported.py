"""A trained model as a folder to take along: config.json, model.safetensors, results.json, a card.

The folder is one of Hugging Face (see `arith.hf.model`), and needs nothing of it to be read here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from arith.config.pretrained import CONFIG, is_model
from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.experiment.shipped import find_model
from arith.fields import pop_field
from arith.process.reading import read_json
from arith.results.schema import Results
from arith.tasks.stream import Draws

WEIGHTS = "model.safetensors"
PREFIX = "transformer."  # of each weight's name: `ArithForCausalLM` holds our model in an attribute of this name


@dataclass(frozen=True)
class ExportedRun(Run):
    """A run of which an exported folder holds the model, but no checkpoints and no metrics.

    Args:
        step: the training step that the model is of.
    """

    step: int = 0

    def load_checkpoint(self, step: int | None = None) -> Checkpoint:
        if step not in (None, self.step):
            raise UsageError(f"{self.folder} is the model of step {self.step}, and of no other: got step {step}")
        try:
            weights = load_file(self.folder / WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise UsageError(f"{self.folder / WEIGHTS} cannot be read: {error}") from error
        # No optimiser state: training that begins with such a model has an optimiser of its own.
        return Checkpoint(self.step, {name.removeprefix(PREFIX): value for name, value in weights.items()}, {})

    def training_seconds(self) -> float:
        # The metrics stayed with the run; its results carry the time in every cell.
        cells = Results.load(self.results).cells if self.results.is_file() else ()
        return cells[0].training_seconds if cells else 0.0


def open_model(place: Path, pretrained: bool = False) -> Run:
    """A run, a folder that `arith export` wrote, or the shipped model of this name.

    Args:
        pretrained: whether to open a run that began with a pretrained model too, which reads other tokens than arith's.
    """
    folder = find_model(place)
    if not is_model(folder):
        run = Run.open(folder)
        if run.config.reads_text and not pretrained:
            raise UsageError(
                f"{folder} began as {run.config.model.init}, which reads text. Write it out by arith export {folder} "
                "--to DIR, and test it by arith evaluate --hf DIR"
            )
        return run
    values = read_json(folder / CONFIG)
    step = pop_field(values, "step", int, 0, f"{folder / CONFIG}: ")
    return ExportedRun(folder, config_of(values.get("run")), step)


def config_of(run: Mapping[str, Any] | None) -> RunConfig:
    """The configuration that a model's config.json holds.

    Raises:
        UsageError: it holds none, or one that would run somebody's code.
    """
    if not isinstance(run, Mapping):
        raise UsageError("the model's config.json holds no run. One is written by arith export")
    config = RunConfig.of(run)
    # A folder may come from anyone, and `Experiment.of` executes the files that are named here.
    if config.imports:
        raise UsageError(
            f"the model needs {', '.join(config.imports)}, and code that comes with a model is not run. "
            "Use the run that it is of"
        )
    return config


def key_of(experiment: Experiment) -> int:
    """The random key of a problem that is asked by itself: the same for every problem, so that answers repeat.

    Encodings such as randomised positions draw from it.
    """
    keys = Draws.at(experiment.config.evaluation.seed, "test", 0, 1).keys
    return int(torch.from_numpy(keys)[0])
