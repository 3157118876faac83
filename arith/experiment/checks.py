"""Refusals: which configurations cannot be run, and why, in words that name the setting to change."""

import math
from collections.abc import Sequence

from arith.catalogue.named import format_named, task_named
from arith.config.pretrained import ENCODING as PRETRAINED
from arith.config.schema import ModelConfig, RunConfig, TrainingConfig
from arith.data.dataset import Dataset
from arith.data.problems import Share
from arith.data.traces import Supervision, in_columns
from arith.errors import UsageError
from arith.model.summing import RunningSums
from arith.tasks.base import Traced
from arith.tasks.stream import check_seed


def check_numbers(config: RunConfig) -> None:
    """Refuse sizes, rates and seeds outside their ranges.

    >>> from arith.config.schema import ModelConfig
    >>> check_numbers(RunConfig(model=ModelConfig(layers=0)))
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: model.layers is 1 or more, got 0
    """
    training, evaluation, model = config.training, config.evaluation, config.model
    at_least_one = {
        "training.steps": training.steps,
        "training.batch": training.batch,
        "training.log_every": training.log_every,
        "training.evaluate_every": training.evaluate_every,
        "training.evaluate_samples": training.evaluate_samples,
        "training.checkpoint_every": training.checkpoint_every,
        "training.keep": training.keep,
        "evaluation.samples": evaluation.samples,
        "evaluation.grid_samples": evaluation.grid_samples,
        "evaluation.long_samples": evaluation.long_samples,
        "model.layers": model.layers,
        "model.loops": model.loops,
        "model.width": model.width,
        "model.heads": model.heads,
        "model.key_heads": model.key_heads or model.heads,  # None: as many as heads
        "model.hidden": model.hidden,
    }
    for name, value in at_least_one.items():
        if value < 1:
            raise UsageError(f"{name} is 1 or more, got {value}")
    _check_shape(model)
    for name, seed in {"model.seed": model.seed, "evaluation.seed": evaluation.seed}.items():
        try:
            check_seed(seed)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from error
    _check_rates(training)


def _check_shape(model: ModelConfig) -> None:
    if not 1 <= model.in_loops <= model.layers:
        raise UsageError(
            f"model.looped says how many of the layers are in the loops: 1 to model.layers, which is "
            f"{model.layers}. Got {model.looped}"
        )
    if model.loop_input == "embeddings" and model.in_loops == model.layers:
        raise UsageError(
            f"with model.loop_input=embeddings loops are summed, and layers after the loops read the sums: "
            f"model.looped is below model.layers, got {model.layers} for both"
        )
    if model.heads % (model.key_heads or model.heads):
        raise UsageError(f"model.heads is a multiple of model.key_heads: got {model.heads} and {model.key_heads}")


def _check_rates(training: TrainingConfig) -> None:
    for name, positive in (
        ("learning_rate", training.learning_rate),
        ("muon_rate", training.muon_rate),
        ("clip", training.clip),
    ):
        if not positive > 0:  # written so, and not as `<= 0`, that NaN is refused too
            raise UsageError(f"training.{name} is above 0, got {positive}")
    if training.warmup < 0 or training.weight_decay < 0 or not 0 <= training.final_rate <= 1:
        raise UsageError(
            "training.warmup and training.weight_decay are 0 or more and training.final_rate is between 0 and 1: "
            f"got {training.warmup}, {training.weight_decay} and {training.final_rate}"
        )
    # A moment with beta 1 stays 0 for ever, and Adam divides by 1 - beta^step.
    if not all(0 <= beta < 1 for beta in training.betas):
        raise UsageError(f"training.betas are below 1, got {training.betas}")


def check_origin(config: RunConfig) -> None:
    """Refuse what a pretrained model cannot be combined with.

    Raises:
        UsageError: an encoding, loss or optimiser that only arith's own models have, or `pretrained` without a folder.
    """
    init = config.model.init
    if (init is None) != (config.encoding != PRETRAINED):
        raise UsageError(
            f"the encoding of a pretrained model is its own, and called '{PRETRAINED}': got encoding "
            f"'{config.encoding}' and model.init {init or 'none'}. Give --init hf:FOLDER alone"
        )
    if init is None:
        return
    if config.trace.kind is not None:
        raise UsageError("a pretrained model is not looped: leave trace.kind or model.init out")
    if config.auxiliary.kind is not None:
        raise UsageError("running sums are for arith's own models: leave auxiliary.kind or model.init out")
    if config.training.loss == "line":
        raise UsageError("a pretrained model is trained on answers: leave training.loss at answer")
    if config.training.optimizer == "muon":
        raise UsageError("Muon is for arith's own models: leave training.optimizer at adamw, or model.init out")


def supervision_of(config: RunConfig, trained: Sequence[Share]) -> Supervision | None:
    """The states that a looped model learns from, if the configuration has a trace; else None."""
    kind = config.trace.kind
    if kind is None:
        return None
    task = trained[0].task
    if not isinstance(task, Traced) or len(trained) > 1 or config.data.samples is not None:
        raise UsageError(
            f"traces are learned from one task that has them, each sample new: multiplication. Got {config.task}, "
            f"data.mix {list(config.data.mix)} and data.samples {config.data.samples}; or leave trace.kind out"
        )
    model = config.model
    if model.loops != 1 or model.looped is not None or model.loop_input != "state":
        raise UsageError(
            f"with trace.kind the problem says how many loops there are, each through all layers and from the state: "
            f"leave model.loops at 1, model.looped and model.loop_input out. Got {model.loops}, {model.looped}, "
            f"{model.loop_input}"
        )
    if config.training.microbatches != 1 or config.training.loss != "answer":
        raise UsageError(
            f"with trace.kind the loss is of one loop of all samples: leave training.microbatches at 1 and "
            f"training.loss at answer, got {config.training.microbatches} and {config.training.loss}"
        )
    if not 0 <= config.trace.random <= 1:
        raise UsageError(f"trace.random is a share from 0 to 1, got {config.trace.random}")
    try:
        supervision = Supervision(task.trace(kind), config.trace.random)
        for name in {config.format, config.tested_format}:
            supervision.check(name, format_named(name))
    except ValueError as error:
        raise UsageError(str(error)) from error
    return supervision


def longest(task: str, form: str, digits: int) -> tuple[int, int]:
    """Tokens of the longest sequence, and digits of its longest number."""
    try:
        return format_named(form).longest(task_named(task), digits)
    except ValueError as error:
        if isinstance(error, UsageError):  # a ValueError too, and already in a user's words
            raise
        raise UsageError(f"task '{task}' in format '{form}': {error}") from error


def running_sums_of(config: RunConfig, data: Dataset) -> RunningSums | None:
    """The running sums that a standard model learns beside answers, if the configuration has them; else None.

    Args:
        data: the training problems.
    """
    auxiliary, model = config.auxiliary, config.model
    if auxiliary.kind is None:
        return None
    if config.data.mix:
        raise UsageError(
            f"running sums are learned from one task: leave data.mix or auxiliary.kind out, got {list(config.data.mix)}"
        )
    if config.trace.kind is not None:
        raise UsageError("a looped model is told its states already: leave trace.kind or auxiliary.kind out")
    if model.loops != 1:
        raise UsageError(f"with auxiliary.kind the layers are gone through once: model.loops is 1, got {model.loops}")
    if config.training.loss != "answer":
        raise UsageError(
            f"running sums are learned beside answers: leave training.loss at answer, got {config.training.loss}"
        )
    if not 1 <= auxiliary.layer < model.layers:
        raise UsageError(
            f"auxiliary.layer says how many layers are below the head of running sums: 1 or more, and fewer than the "
            f"model's. Got {auxiliary.layer}, with model.layers {model.layers}"
        )
    if not 0 < auxiliary.weight < math.inf:
        raise UsageError(f"auxiliary.weight is above 0, got {auxiliary.weight}")
    if not in_columns(data.format):
        raise UsageError(
            f"running sums are of columns that are known, least significant digit first: got '{config.format}'. "
            "Use padded-reversed or padded-all-reversed, or leave auxiliary.kind out"
        )
    (source,) = data.problems.sources  # one, as data.mix is empty
    try:
        return RunningSums.of(source.task, data.format.width or source.longest)
    except ValueError as error:
        raise UsageError(f"{error}; or leave auxiliary.kind out") from error
