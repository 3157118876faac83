"""Training that begins with the weights of another run: which they are, and whether they fit."""

import hashlib
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from arith.config.reading import differences
from arith.config.schema import RunConfig
from arith.config.starting import CURVE, place_of
from arith.errors import UsageError
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.experiment.run import Run
from arith.model.transformer import Transformer

# A row a token. Every vocabulary is the beginning of one list, so that a smaller one has the first rows of a larger.
TOKENS = ("embedding.weight", "head.weight")
# Settings of a model without which the same weights can be loaded.
FREE = ("seed", "init", "init_step", "embedding_std")


def check_start(experiment: Experiment) -> None:
    """Refuse a start that is not there, not finished, or of another shape.

    Raises:
        UsageError: see `load_start`.
    """
    with torch.device("meta"):
        shapes = experiment.model()
    _read_start(shapes, experiment.config)


def load_start(model: Transformer, config: RunConfig) -> dict[str, Any] | None:
    """Load the weights of the run that `model.init` names.

    Returns:
        What run.json records of them; None if training begins with fresh weights, or a pretrained model's.

    Raises:
        UsageError: there is no such run; it is not finished, and no step is named; or it has another shape or
            vocabulary.
    """
    found = _read_start(model, config)
    if found is None:
        return None
    run, checkpoint = found
    _cut_vocabulary(checkpoint, model).restore(model)
    step = checkpoint.step
    samples = run.config.samples_at(step) + run.start().get("samples", 0)
    begun = {"name": run.folder.name, "step": step, "sha256": digest(checkpoint.model), "samples": samples}
    # What the weights have read counts on, where it is known: an exported model comes without metrics.
    tokens = [row["tokens"] for row in run.read_metrics() if row["step"] == step and "tokens" in row]
    return {**begun, "tokens": tokens[-1]} if tokens else begun


def digest(weights: dict[str, Tensor]) -> str:
    """A hash of weights by name, the same in a run and in an exported folder.

    >>> digest({"a": torch.zeros(2)}) == digest({"a": torch.zeros(2)}) != digest({"b": torch.zeros(2)})
    True
    """
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _read_start(model: Transformer, config: RunConfig) -> tuple[Run, Checkpoint] | None:
    """The run that is begun with, and its checkpoint."""
    init, step = config.model.init, config.model.init_step
    if init is None or config.reads_text:
        if step is not None:
            raise UsageError(f"model.init_step is of the run that model.init=run:FOLDER names, got {step} without one")
        return None
    if init.startswith(CURVE):
        raise UsageError(
            f"model.init={init} is a curve of a recipe, which arith reproduce trains first. Elsewhere name a run: "
            "model.init=run:FOLDER"
        )
    run = open_model(place_of(init))
    checkpoint = run.load_checkpoint(step)
    steps = run.config.training.steps
    if step is None and checkpoint.step < steps:
        raise UsageError(
            f"model.init={init} is not finished: {checkpoint.step} of {steps} steps. Finish it by {run.resume_hint}, "
            f"or name the step: --step {checkpoint.step} (model.init_step)"
        )
    _check_fits(model, _cut_vocabulary(checkpoint, model), run.config, config)
    return run, checkpoint


def _cut_vocabulary(checkpoint: Checkpoint, model: Transformer) -> Checkpoint:
    """A checkpoint without the tokens that a model has not: worked examples may lead to exercises alone."""
    held = model.state_dict()
    weights = {
        name: own[: len(held[name])] if name in TOKENS and name in held else own
        for name, own in checkpoint.model.items()
    }
    return replace(checkpoint, model=weights)


def _check_fits(model: Transformer, checkpoint: Checkpoint, before: RunConfig, now: RunConfig) -> None:
    shapes = {name: tuple(own.shape) for name, own in model.state_dict().items()}
    others = {name: tuple(own.shape) for name, own in checkpoint.model.items()}
    if shapes == others:
        return
    where = f"model.init={now.model.init} cannot be begun with"
    tokens = [held["embedding.weight"][0] for held in (others, shapes) if "embedding.weight" in held]
    if len(set(tokens)) > 1:
        raise UsageError(
            f"{where}: its vocabulary has {tokens[0]} tokens, and this training's task, format and tests have "
            f"{tokens[1]}. Train the run with evaluation.task and evaluation.format of this one, which gives it their "
            "tokens"
        )
    old, new = (
        {name: held[name] for name in ("encoding", "trace", "auxiliary")}
        | {"model": {name: value for name, value in held["model"].items() if name not in FREE}}
        for held in (before.as_dict(), now.as_dict())
    )
    listed = [line.replace(" before, ", " in the run, ").replace(" now", " here") for line in differences(old, new)]
    if listed:
        raise UsageError(f"{where}: it has another shape. {'; '.join(listed)}. What is left out is taken from the run")
    name = next(name for name in {**others, **shapes} if others.get(name) != shapes.get(name))
    raise UsageError(
        f"{where}: {name} has the shape {others.get(name)} there and {shapes.get(name)} here. Tables of positions are "
        "made for the longest line of training and tests: give both the same longest digits and tests"
    )
