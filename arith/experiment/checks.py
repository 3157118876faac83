"""Refusals: which configurations cannot be run, and why, in words that name the setting to change.

Long for its list: each refusal is a few lines of its own.
"""

import typing
from collections.abc import Sequence

from arith.catalogue.named import format_named
from arith.catalogue.spec import parse
from arith.config.pretrained import ENCODING as PRETRAINED
from arith.config.pretrained import OWN, keeps_own
from arith.config.ranges import check_ranges
from arith.config.schema import ModelConfig, Part, RunConfig, TrainingConfig
from arith.data.dataset import Dataset
from arith.data.problems import Share, shares
from arith.data.traces import Supervision, in_columns
from arith.encodings.compose import Composed
from arith.errors import UsageError
from arith.model.kinds.summing import RunningSums
from arith.tasks.base import Task, Traced

# Bounds for typing errors: torch overflows on larger tensors, and a stack of more layers takes hours to build.
LARGEST = {"layers": 10_000, "loops": 10_000, "width": 2**20, "hidden": 2**20}


def check_sharpness(config: RunConfig) -> None:
    """Refuse to measure the sharpness of models whose attention has no second derivative."""
    if config.training.sharpness_every and config.reads_text:
        raise UsageError(
            f"training.sharpness_every is for arith's own models: attention of {config.model.init} has no second "
            "derivative. Leave it out"
        )


def check_numbers(config: RunConfig) -> None:
    """Refuse numbers outside their ranges, and shapes that no model has.

    >>> from arith.config.schema import ModelConfig
    >>> check_numbers(RunConfig(model=ModelConfig(layers=2, looped=3)))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: model.looped says how many of the layers are in the loops: 1 to model.layers, ...
    """
    check_ranges(config)
    model = config.model
    for name, most in LARGEST.items():
        got = model.most_loops if name == "loops" else getattr(model, name)
        if got > most:
            raise UsageError(f"model.{name} is {most:,} at most, got {got:,}")
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
    if model.loop_input == "both" and model.most_loops == 1:
        raise UsageError(
            "with model.loop_input=both the embeddings are added again before every loop but the first, and there is "
            "one loop: set model.loops, or leave loop_input out"
        )
    if model.prompt_layers is not None:
        _check_prompt_layers(config, model.prompt_layers)
    if model.heads % (model.key_heads or model.heads):
        raise UsageError(f"model.heads is a multiple of model.key_heads: got {model.heads} and {model.key_heads}")
    for name in ("redraw", "renumber"):
        if getattr(config.data, name) and config.data.samples is None:
            raise UsageError(
                f"data.{name} is of a fixed set, and every sample is new: set data.samples, or leave it out"
            )
    # Without an auxiliary loss too, or a layer that is not there would be taken without a word; 1 is the default.
    if config.auxiliary.layer >= model.layers and (config.auxiliary.kind is not None or config.auxiliary.layer > 1):
        raise UsageError(
            f"auxiliary.layer says how many layers are below the head of running sums: 1 or more, and fewer than the "
            f"model's. Got {config.auxiliary.layer}, with model.layers {model.layers}"
        )


def check_training(config: TrainingConfig) -> None:
    """Refuse settings of training that exclude each other.

    >>> check_training(TrainingConfig(momentum=0.5))
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: training.momentum is for training.optimizer=sgd: leave it out, got 0.5 with adamw
    """
    # The default can hardly be told from a value that is given, and does no harm.
    if config.optimizer != "sgd" and config.momentum != TrainingConfig.momentum:
        raise UsageError(
            f"training.momentum is for training.optimizer=sgd: leave it out, got {config.momentum} with "
            f"{config.optimizer}"
        )
    parts = typing.get_args(Part)
    if set(config.freeze) == set(parts):
        raise UsageError(
            f"with training.freeze={','.join(config.freeze)} nothing is left to train: name one or two of "
            f"{', '.join(parts)}"
        )
    if config.optimizer == "muon" and "blocks" in config.freeze:
        raise UsageError(
            "Muon moves the matrices of the blocks, and training.freeze holds them: use training.optimizer=adamw or "
            f"sgd, or freeze embedding or head. Got {', '.join(config.freeze)}"
        )


def check_schedule(config: RunConfig) -> None:
    """Refuse a schedule of lengths that a second pass over a fixed set would begin again.

    >>> check_schedule(RunConfig.of({"data": {"schedule": 900, "first_digits": "1", "samples": 1000}}))
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: a second pass over a fixed set begins its schedule again: train 7 steps of 128 or ...
    """
    data, training = config.data, config.training
    # A sample's length is a function of its place in the set. A model that meets short problems alone again, late,
    # forgets the long ones: 57% of validation became 16 in 500 steps (docs/labbook.md, "Additions of 10 digits").
    if data.schedule and data.samples is not None and training.steps * training.batch > data.samples:
        raise UsageError(
            f"a second pass over a fixed set begins its schedule again: train {data.samples // training.batch} steps "
            f"of {training.batch} or fewer, raise data.samples, or leave data.schedule out. Got {training.steps} steps "
            f"with {data.samples} samples"
        )


def _check_prompt_layers(config: RunConfig, layers: int) -> None:
    model = config.model
    above = model.in_loops if model.most_loops > 1 else 1
    if not above <= layers < model.layers:
        raise UsageError(
            f"model.prompt_layers says how many layers the prompt's tokens pass through, those in the loops included: "
            f"{above} to {model.layers - 1} of {model.layers} layers. Got {layers}; or leave it out"
        )
    for name in {config.format, config.tested_format}:
        form = format_named(name)
        if form.width is None or not form.pad_operands or form.draws or form.working is not None:
            raise UsageError(
                f"with model.prompt_layers all prompts are of one length, or a longer one would reach into the layers "
                f"above: got '{name}'. Use padded-all-reversed:width=10 or another padded format with a width"
            )
    # More of some lengths, as 80% multiplication 10-15, leaves prompts as long as they are.
    others = [part for part in shares(config.task, config.data) if part.name != config.task or part.format is not None]
    if others or config.training.loss != "answer" or config.trace.kind or config.auxiliary.kind:
        raise UsageError(
            "with model.prompt_layers one task is learned from its answers: leave other tasks and formats in data.mix, "
            "trace.kind and auxiliary.kind out and training.loss at answer. Got "
            f"{list(config.data.mix)}, {config.trace.kind}, {config.auxiliary.kind} and {config.training.loss}"
        )


def check_loops(config: RunConfig, encoded: Composed, digits: int) -> None:
    """Refuse numbers of loops that the model cannot have, in training or in tests.

    Args:
        config: the run.
        encoded: its encoding.
        digits: the length of the longest number in training or tests.
    """
    model, tested = config.model, config.evaluation.loops
    if tested is not None and config.trace.kind is not None:
        raise UsageError(
            f"with trace.kind each problem says how many loops it takes: leave evaluation.loops out, got {tested}"
        )
    if tested is not None and model.most_loops == 1:
        raise UsageError(
            f"evaluation.loops takes the place of model.loops in tests, and this model has one loop: set model.loops, "
            f"or leave it out. Got {tested}"
        )
    if tested is not None and tested > LARGEST["loops"]:
        raise UsageError(f"evaluation.loops is {LARGEST['loops']:,} at most, got {tested:,}")
    most = max(config.tested_loops, model.most_loops)
    if most > digits and encoded.slides and any(own.reach is not None for own, _ in encoded.encodings()):
        raise UsageError(
            f"ids of '{config.encoding}' slide with the loop, and are encoded as far as numbers of {digits} digits "
            f"take them: got {most} loops"
        )
    if isinstance(model.loops, int):
        return
    drawn = "model.loops is a number there, not a range that is drawn from: got {}-{}".format(*model.loops)
    if model.loop_input == "embeddings":
        raise UsageError(
            f"with model.loop_input=embeddings each loop adds its part of one sum, and none is left out. {drawn}"
        )
    if encoded.slides:
        raise UsageError(
            f"ids of '{config.encoding}' slide with the loop, so that each loop reads a digit of its own, and none is "
            f"left out. {drawn}"
        )


def check_sharing(config: RunConfig, encoded: Composed) -> None:
    """Refuse ties and embeddings for which a model has no place."""
    model = config.model
    if model.embedding == "circle" and model.width < 2:
        raise UsageError(f"with model.embedding=circle model.width is 2 or more: got {model.width}")
    if len(set(model.tie)) < len(model.tie):
        raise UsageError(f"model.tie names each part once: got {', '.join(model.tie)}")
    attending = sorted({"values", "output"} & set(model.tie))
    if attending and encoded.lanes and model.layers == 1:
        raise UsageError(
            f"the only layer takes the tokens that '{config.encoding}' says, and does not attend: take "
            f"{' and '.join(attending)} out of model.tie, or add a layer"
        )


def check_attention(model: ModelConfig, encoded: Composed, answers_at_once: bool) -> None:
    """Refuse full attention where a token may not see those after it.

    Args:
        model: the model's shape.
        encoded: its encoding.
        answers_at_once: whether a whole answer comes from one pass that does not show it.
    """
    if model.attention == "causal":
        return
    if not answers_at_once:
        raise UsageError(
            "with model.attention=full a model that answers token by token would read the answer that it is to give, "
            "and could neither decode nor be asked or exported. Use it with trace.kind, where all digits come at the "
            "same time, with a task whose values are read in place, such as lego:asked=each, or leave it at causal"
        )
    if model.prompt_layers is not None:
        raise UsageError(
            f"model.prompt_layers hides the prompt from later layers, where model.attention=full shows a token all "
            f"others: leave it out, got {model.prompt_layers}"
        )
    for encoding, _ in encoded.encodings():
        if encoding.causal:
            raise UsageError(
                f"{encoding.title} counts from a token back to those before it, and with model.attention=full a token "
                f"sees those after it too. Use another encoding, or leave model.attention at causal"
            )


def check_in_place(config: RunConfig, tasks: Sequence[Task]) -> None:
    """Refuse values in their places beside answers that are continued, and where attention is causal."""
    places = [getattr(task, "in_place", False) for task in tasks]
    if not any(places):
        return
    if not all(places) or config.training.loss != "answer":
        raise UsageError(
            f"values are read in their places of a whole line in all tasks of training and tests or in none, and "
            f"training.loss is answer: got {', '.join(task.name for task in tasks)} and {config.training.loss}"
        )
    if config.model.attention != "full":
        raise UsageError(
            "values in their places may follow from clauses behind them: set model.attention to full, or ask for one "
            "value, as lego:asked=one does"
        )


def supervision_of(config: RunConfig, trained: Sequence[Share]) -> Supervision | None:
    """The states that a looped model learns from, if the configuration has a trace; else None."""
    kind = config.trace.kind
    if kind is None:
        return None
    task = trained[0].task
    if not isinstance(task, Traced) or len(trained) > 1 or config.data.samples is not None:
        raise UsageError(
            f"traces are learned from one task that has them, each sample new: multiplication or lego. Got "
            f"{config.task}, data.mix {list(config.data.mix)} and data.samples {config.data.samples}; or leave "
            f"trace.kind out"
        )
    model = config.model
    if model.loops != 1 or model.looped is not None or model.loop_input != "state":
        raise UsageError(
            f"with trace.kind the problem says how many loops there are, each through all layers and from the state: "
            f"leave model.loops at 1, model.looped and model.loop_input out. Got {model.loops}, {model.looped}, "
            f"{model.loop_input}"
        )
    if "head" in model.tie:
        raise UsageError(
            f"with trace.kind the head tells states apart, not tokens, and has weights of its own: take head out of "
            f"model.tie, got {', '.join(model.tie)}"
        )
    if model.mixing != "none":
        raise UsageError(
            f"with trace.kind columns are revised at the same time, and model.mixing reads them in one direction: "
            f"leave it out, got {model.mixing}"
        )
    if config.training.microbatches != 1 or config.training.loss != "answer":
        raise UsageError(
            f"with trace.kind the loss is of one loop of all samples: leave training.microbatches at 1 and "
            f"training.loss at answer, got {config.training.microbatches} and {config.training.loss}"
        )
    try:
        supervision = Supervision(task.trace(kind), config.trace.random)
        for name in {config.format, config.tested_format}:
            supervision.check(name, format_named(name))
    except ValueError as error:
        raise UsageError(str(error)) from error
    return supervision


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
        loops = " to ".join(map(str, dict.fromkeys(model.loop_range)))
        raise UsageError(f"with auxiliary.kind the layers are gone through once: model.loops is 1, got {loops}")
    if config.training.loss != "answer":
        raise UsageError(
            f"running sums are learned beside answers: leave training.loss at answer, got {config.training.loss}"
        )
    if not in_columns(data.format) or not data.format.pad_operands:
        raise UsageError(
            f"running sums are of columns that are known, least significant digit first: got '{config.format}'. "
            "Use padded-reversed or padded-all-reversed, or leave auxiliary.kind out"
        )
    (source,) = data.problems.sources  # one, as data.mix is empty
    try:
        return RunningSums.of(source.task, (data.format.width or source.longest) + data.format.spare)
    except ValueError as error:
        raise UsageError(f"{error}; or leave auxiliary.kind out") from error


def check_origin(config: RunConfig) -> None:
    """Refuse what a pretrained model cannot be combined with.

    Raises:
        UsageError: an encoding, loss or optimiser that only arith's own models have, or `pretrained` without a folder.
    """
    if config.reads_text != (config.encoding == PRETRAINED or keeps_own(config.encoding)):
        added = "fire@coupled" if config.encoding == OWN else config.encoding
        advice = f", or add to what the model has: --encoding {OWN}+{added}" if config.reads_text else ""
        raise UsageError(
            f"the encoding of a pretrained model is its own, and called '{PRETRAINED}', or added to it, own+...: got "
            f"encoding '{config.encoding}' and model.init {config.model.init or 'none'}. Give --init hf:FOLDER without "
            f"--encoding{advice}"
        )
    if not config.reads_text:
        return
    if config.encoding != PRETRAINED:
        parse(config.encoding, also=OWN)  # refuses names that are unknown; the rest is known with the model
    if config.trace.kind is not None:
        raise UsageError("a pretrained model is not looped: leave trace.kind or model.init out")
    if config.auxiliary.kind is not None:
        raise UsageError("running sums are for arith's own models: leave auxiliary.kind or model.init out")
    if config.evaluation.sharpen is not None:
        raise UsageError("a pretrained model's attention is its own: leave evaluation.sharpen or model.init out")
    if config.evaluation.loops is not None:
        raise UsageError("a pretrained model has no loops: leave evaluation.loops or model.init out")
    if config.training.loss == "line":
        raise UsageError("a pretrained model is trained on answers: leave training.loss at answer")
    if config.training.optimizer == "muon":
        raise UsageError("Muon is for arith's own models: leave training.optimizer at adamw, or model.init out")
