"""What a run will cost, before it begins: parameters, arithmetic, memory, time."""

import functools
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from arith.config.schema import ModelConfig, RunConfig, TrainingConfig
from arith.data.batch import Batch
from arith.evaluation.exact_match import costs
from arith.experiment.experiment import Experiment
from arith.model.cost import activation_bytes, parameter_bytes, seconds, training_flops
from arith.model.transformer import Transformer
from arith.results.schema import Condition
from arith.results.tables import align_columns
from arith.training.environment import explain_out_of_memory, find_device, keep_freed_memory, matmul_precision
from arith.training.step import autocast

# FLOPs of one timed pass through a layer, forward and backward: 10 ms at 50 GFLOP/s, or at 100 TFLOP/s on a GPU. Much
# longer than a clock's tick and the start of kernels, and short enough for a dry run that feels immediate.
PROBED_FLOPS = {"cpu": 5e8, "cuda": 1e12}
PROBES = 4  # timed passes, of which the fastest counts: other work on the machine can only slow one down
# What each thread after the first adds: two do 1.7 times the steps of one, by the small models of
# results/training-speed.json.
THREAD_GAIN = 0.7


def report(experiment: Experiment, as_json: bool = False) -> str:
    """The settings and the estimate, for `--dry-run`."""
    estimated = estimate(experiment)
    config = experiment.config.as_dict()
    if experiment.config.reads_text:  # the other fields are of arith's own models
        model = config["model"]
        config["model"] = {**_shape_as_dict(shape_of(experiment)[0]), "seed": model["seed"], "init": model["init"]}
    if as_json:
        return json.dumps({"config": config, "estimate": estimated}, indent=1)
    settings = [
        (f"{table}.{name}", value)
        for table, values in config.items()
        if isinstance(values, dict)
        for name, value in values.items()
    ]
    top = [(name, value) for name, value in config.items() if not isinstance(value, dict)]
    rows = [[name, str(value)] for name, value in (*top, *settings)]
    return (
        align_columns(rows)
        + "\n\n"
        + align_columns([[name.replace("_", " "), _readable(name, value)] for name, value in estimated.items()])
    )


def plan_table(runs: Sequence[tuple[str, Experiment]]) -> str:
    """One line for each curve of a plan: what is trained, and about how long it takes, one run after another.

    Args:
        runs: the label and the experiment of each run; those of one label differ in their seeds alone.
    """
    rows = [["curve", "seeds", "task", "format", "encoding", "trained on", "parameters", "steps", "minutes a run"]]
    total = 0.0
    for label, alike in itertools.groupby(runs, key=lambda run: run[0]):
        (experiment, *others) = (experiment for _, experiment in alike)
        config, estimated = experiment.config, estimate(experiment)
        minutes = (estimated["training_seconds"] + estimated["test_seconds"]) / 60
        total += minutes * (1 + len(others))
        seeds, size = str(1 + len(others)), f"{estimated['parameters']:,}"
        written = [config.task, config.format, config.encoding, "{}-{}".format(*config.data.digits), size]
        rows.append([label, seeds, *written, str(config.training.steps), f"{minutes:.3g}"])
    return f"{align_columns(rows)}\nAbout {total:.3g} minutes in all, one run after another on this machine."


def shape_of(experiment: Experiment) -> tuple[ModelConfig, int]:
    """The shape of an experiment's model, and the size of its vocabulary: a pretrained one brings both."""
    if not experiment.config.reads_text:
        return experiment.config.model, experiment.vocabulary_size
    with torch.device("meta"):
        model = experiment.model()
    return model.config, model.embedding.num_embeddings


def _shape_as_dict(shape: ModelConfig) -> dict[str, Any]:
    return {name: getattr(shape, name) for name in ("layers", "width", "heads", "key_heads", "hidden", "activation")}


def estimate(experiment: Experiment) -> dict[str, Any]:
    """Count FLOPs and bytes from the shapes, and predict time from one layer's on the device: a rough guide."""
    config, (model, _) = experiment.config, shape_of(experiment)
    # Tensors on the meta device have shapes and no memory: a model of any size can be counted anywhere.
    with torch.device("meta"):
        model_shapes = experiment.starting_model()
    parameters = model_shapes.parameter_count()
    frozen = sum(parameter.numel() for parameter in model_shapes.parameters() if not parameter.requires_grad)
    state = parameter_bytes(config.training) * (parameters - frozen) + parameter_bytes(config.training, True) * frozen
    # Buffers, such as tables of rotations, take memory but have neither gradient nor moments.
    tables = sum(buffer.nbytes for buffer in model_shapes.buffers())
    tokens = experiment.training_data().longest
    rows, precision = config.training.batch, config.training.precision
    step_flops = flops_per_step(experiment)
    rate = flops_per_second(experiment)
    return {
        "parameters": parameters,
        "frozen_parameters": frozen,
        "bytes_per_trained_parameter": parameter_bytes(config.training),
        "longest_sequence_tokens": experiment.tokens,
        "tokens_per_step": rows * tokens,
        "state_bytes": state + tables,
        "activation_bytes": activation_bytes(model, precision, rows, tokens, model_shapes.encoding.lanes),
        "flops_per_step": step_flops,
        "seconds_per_step": seconds(step_flops, rate),
        "training_seconds": seconds(config.training.steps * step_flops, rate),
        "test_seconds": seconds(test_flops(experiment, experiment.tests.conditions()), rate),
    }


def test_seconds(experiment: Experiment, sets: Sequence[Condition]) -> float:
    """Predict how many seconds these test sets take."""
    return seconds(test_flops(experiment, sets), flops_per_second(experiment))


def test_flops(experiment: Experiment, sets: Sequence[Condition]) -> float:
    """FLOPs of these test sets, counted from the shapes."""
    with torch.device("meta"):
        model = experiment.model()
    return sum(costs(experiment, model, sets).values())


def flops_per_step(experiment: Experiment) -> int:
    """FLOPs of one training step on samples as long as any can be."""
    # An upper bound: batches are as long as their longest sample, which at large batches is nearly always this one.
    config, data = experiment.config, experiment.training_data()
    pairs = zip(data.formats, data.problems.sources, strict=True)
    answer = max(form.longest_answer(source.task, source.longest) for form, source in pairs)
    rows, tokens = config.training.batch, data.longest - 1  # the last token of a sample is a label only
    with torch.device("meta"):
        lanes = experiment.encoding().lanes
    return training_flops(*shape_of(experiment), rows, tokens, answer, lanes=lanes)


def flops_per_second(experiment: Experiment) -> float:
    """Measure the rate of one layer of the model, forward and backward.

    Its encoding and everything else that is not a product take part, so that FLOPs over this rate are whole seconds.
    """
    # One layer is enough: all are alike, and several would take longer to time. A first one that looks up is not: there
    # are two then. Running sums are left out, as their head needs a layer below another one.
    config = experiment.config
    with torch.device("meta"):
        layers = 2 if experiment.encoding().lanes else 1
    changes: dict[str, Any] = {
        "model": {
            "layers": layers,
            "loops": 1,
            "looped": None,
            "loop_input": "state",
            "prompt_layers": None,
            "init": None,
        },
        "auxiliary": {"kind": None},
        "evaluation": {"loops": None},
    }
    if config.reads_text:  # a pretrained layer has the shape of one of ours
        shape = _shape_as_dict(shape_of(experiment)[0])
        changes |= {"encoding": "nope", "model": {**shape, **changes["model"]}}
    return _measure_flops_per_second(config.with_values(changes))


@functools.cache  # runs that differ in their number of layers alone share one measurement
def _measure_flops_per_second(config: RunConfig) -> float:
    training, device = config.training, find_device(config.training.device)
    experiment = Experiment.of(config)
    # As many samples as come to that many FLOPs: more would time the same rate for longer.
    most = PROBED_FLOPS[device.type] / (flops_per_step(experiment) / training.batch)
    batch = experiment.training_data().batch(0, min(training.batch, max(1, int(most))), device)
    with (
        explain_out_of_memory(training, experiment.tokens),
        matmul_precision(training),
        _one_thread() if device.type == "cpu" else nullcontext(1.0) as faster,
    ):
        model = experiment.model().to(device)
        keep_freed_memory()
        times = [_pass_seconds(model, batch, training) for _ in range(1 + PROBES)]
    rows, tokens = len(batch.tokens), batch.tokens.shape[1] - 1
    shape, vocabulary, lanes = config.model, experiment.vocabulary_size, model.encoding.lanes
    flops = training_flops(shape, vocabulary, rows, tokens, batch.queries, batch.logits_per_row, lanes=lanes)
    return faster * flops / min(times[1:])  # the first pass warms caches up


def _pass_seconds(model: Transformer, batch: Batch, config: TrainingConfig) -> float:
    """Time one forward and backward pass: CPU time, which other processes leave alone, or wall time for a GPU."""
    device = batch.tokens.device
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began = clock()
    with autocast(device, config):
        loss = model.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began


@contextmanager
def _one_thread() -> Iterator[float]:
    """Let torch compute on one thread; yields how many times as fast it is on all the threads it had."""
    # The process time of several threads is the sum of theirs, waits included: only one thread's gives a speed.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield 1 + THREAD_GAIN * (threads - 1)
    finally:
        torch.set_num_threads(threads)


def _readable(name: str, value: float) -> str:
    # By the end of its name, where the unit stands.
    if name.endswith("bytes"):
        return f"{value / 2**20:,.0f} MiB" if value >= 2**20 else f"{value / 2**10:,.0f} KiB"
    if name.endswith("seconds") or name.startswith("seconds"):
        return f"about {value:.3g} s" if value < 120 else f"about {value / 60:.3g} minutes"
    return f"{value:,.0f}" if value < 1e9 else f"{value:.3g}"
