"""What a configuration may not say, each refusal a function of the configuration."""

import math
from collections.abc import Sequence

from arith.catalogue.named import format_named, task_named
from arith.config.schema import RunConfig
from arith.data.dataset import Dataset
from arith.data.problems import Share
from arith.data.traces import Supervision, in_columns
from arith.errors import UsageError
from arith.model.summing import RunningSums
from arith.tasks.base import Traced


def supervision_of(config: RunConfig, trained: Sequence[Share]) -> Supervision | None:
    """What a looped model is told, if the configuration asks for one."""
    kind = config.trace.kind
    if kind is None:
        return None
    task = trained[0].task
    if not isinstance(task, Traced) or len(trained) > 1 or config.data.samples is not None:
        raise UsageError(
            f"traces are learned from one task that has them, each sample new: multiplication. Got {config.task}, "
            f"data.mix {list(config.data.mix)} and data.samples {config.data.samples}; or leave trace.kind out"
        )
    if config.model.init is not None:
        raise UsageError("a pretrained model is not looped: leave trace.kind or model.init out")
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
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"task '{task}' in format '{form}': {error}") from error


def running_sums_of(config: RunConfig, data: Dataset) -> RunningSums | None:
    """What a standard model is told beside answers, if the configuration asks for it.

    Args:
        data: of training.
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
    if model.init is not None:
        raise UsageError("running sums are for arith's own models: leave auxiliary.kind or model.init out")
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
    (source,) = data.problems.sources
    try:
        return RunningSums.of(source.task, data.format.width or source.longest)
    except ValueError as error:
        raise UsageError(f"{error}; or leave auxiliary.kind out") from error
