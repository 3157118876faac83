"""What a run will take, before it is begun: parameters, arithmetic, memory, time."""

import functools
import json
import time
from collections.abc import Sequence
from typing import Any

import torch

from arith.assembly import Assembly, device_named
from arith.evaluate import Condition, conditions, cost
from arith.flops import training_flops
from arith.footprint import STATE_BYTES, activation_bytes
from arith.tables import aligned


def report(assembly: Assembly, as_json: bool = False) -> str:
    """The settings and the estimate, for `--dry-run`."""
    found = estimate(assembly)
    config = assembly.config.as_dict()
    if as_json:
        return json.dumps({"config": config, "estimate": found}, indent=1)
    settings = [
        (f"{table}.{name}", value)
        for table, values in config.items()
        if isinstance(values, dict)
        for name, value in values.items()
    ]
    top = [(name, value) for name, value in config.items() if not isinstance(value, dict)]
    rows = [[name, str(value)] for name, value in (*top, *settings)]
    return (
        aligned(rows)
        + "\n\n"
        + aligned([[name.replace("_", " "), _readable(name, value)] for name, value in found.items()])
    )


def estimate(assembly: Assembly) -> dict[str, Any]:
    """FLOPs and bytes counted from the shapes, time from a short product of matrices on the device; a rough guide."""
    config, model = assembly.config, assembly.config.model
    with torch.device("meta"):
        model_shapes = assembly.model()
    parameters = model_shapes.parameter_count()
    tables = sum(buffer.nbytes for buffer in model_shapes.buffers())
    tokens = assembly.training_data().longest
    rows, precision = config.training.batch, config.training.precision
    step_flops = flops_per_step(assembly)
    rate = matmul_flops_per_second(assembly)
    return {
        "parameters": parameters,
        "longest_sequence_tokens": assembly.tokens,
        "tokens_per_step": rows * tokens,
        "state_bytes": STATE_BYTES * parameters + tables,
        "activation_bytes": activation_bytes(model, precision, rows, tokens),
        "flops_per_step": step_flops,
        "seconds_per_step": step_flops / rate,
        "training_seconds": config.training.steps * step_flops / rate,
        "test_seconds": test_flops(assembly, conditions(assembly)) / rate,
    }


def test_seconds(assembly: Assembly, sets: Sequence[Condition]) -> float:
    """About how long these tests take."""
    return test_flops(assembly, sets) / matmul_flops_per_second(assembly)


def test_flops(assembly: Assembly, sets: Sequence[Condition]) -> float:
    """Of these tests, counted from the shapes."""
    with torch.device("meta"):
        model = assembly.model()
    tokens = {test.digits: assembly.tested_format.longest(assembly.tested_task, test.digits)[0] for test in sets}
    return sum(test.n * cost(model, tokens[test.digits]) for test in sets)


def flops_per_step(assembly: Assembly) -> int:
    """Of one training step on samples as long as any can be."""
    config, data = assembly.config, assembly.training_data()
    answer = max(data.format.longest_answer(source.task, source.longest) for source in data.problems.sources)
    rows, tokens = config.training.batch, data.longest - 1
    return training_flops(config.model, assembly.vocabulary_size(), rows, tokens, answer)


def matmul_flops_per_second(assembly: Assembly) -> float:
    """What a product of the MLP's shape reaches on the device, halved for all that is no product."""
    device = device_named(assembly.config.training.device)
    dtype = torch.bfloat16 if assembly.config.training.precision == "bfloat16" else torch.float32
    return _timed_product(assembly.config.model.width, assembly.config.model.hidden, device, dtype)


@functools.cache  # the runs of a recipe are of a few shapes
def _timed_product(width: int, hidden: int, device: torch.device, dtype: torch.dtype, budget: float = 0.2) -> float:
    x = torch.randn(1024, width, device=device, dtype=dtype)
    w = torch.randn(width, hidden, device=device, dtype=dtype)
    float((x @ w).sum())
    began, products = time.perf_counter(), 0
    while time.perf_counter() - began < budget:
        float((x @ w)[0, 0])
        products += 1
    return 0.5 * products * 2 * 1024 * width * hidden / (time.perf_counter() - began)


def _readable(name: str, value: float) -> str:
    if name.endswith("bytes"):
        return f"{value / 2**20:,.0f} MiB" if value >= 2**20 else f"{value / 2**10:,.0f} KiB"
    if name.endswith("seconds") or name.startswith("seconds"):
        return f"about {value:.3g} s" if value < 120 else f"about {value / 60:.3g} minutes"
    return f"{value:,.0f}" if value < 1e9 else f"{value:.3g}"
