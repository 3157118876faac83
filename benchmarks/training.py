"""Training steps a second, ours beside Hugging Face's Trainer on a GPT-2 of the same shape: same rows, batch, type.

Runs of both alternate, and the ratio is that of the median steps; the fastest step of all is told too. Goals on 2
cores: 2 times for the demo's model, 1.1 times at 12 x 768. `--model` measures one of them; `--publish` writes it to
results/training-speed.json, beside the others that stand there. Where others use the cores, `--threads 1` takes
seconds of this process on a CPU. `same-parts` is our model with GPT-2's own choices, learned positions and a plain
GELU, so that what is left to differ is the training loop and what is not computed.
"""

import json
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import torch
from peers.gpt2_trainer import HuggingFace

from arith.config import recipe
from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance, results_folder
from arith.performance.throughput import Trial

Timed = Callable[[int], tuple[float, ...]]  # seconds of so many steps

# By name: the run, steps at a time, and the goal.
MODELS: dict[str, tuple[RunConfig, int, float | None]] = {
    "demo": (recipe.load_config("coupled-window"), 100, 2.0),
    "same-parts": (
        recipe.load_config("coupled-window").with_values(
            {"encoding": "learned", "model": {"activation": "gelu", "norm_after": False}}
        ),
        100,
        None,
    ),
    "12x768": (
        recipe.load_config("multiplication-paper:padded-reversed-15").with_values({"training": {"batch": 8}}),
        4,
        1.1,
    ),
}


def on_this_cpu(config: RunConfig, compiled: str = "auto") -> Experiment:
    training = {"device": "cpu", "precision": "float32", "compile": compiled}
    return Experiment.of(config.with_values({"training": training}))


def clock() -> Callable[[], float]:
    """On one thread, that of this process on a CPU: other processes then matter little."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def ours(config: RunConfig, compiled: str) -> Timed:
    """The samples' writing, which a block of steps shares, is added to each."""
    trial = Trial.of(on_this_cpu(config, compiled), clock())

    def seconds(steps: int) -> tuple[float, ...]:
        return tuple(own + trial.data_seconds for own in trial.seconds(steps))

    return seconds


def theirs(config: RunConfig, compiled: bool) -> Timed:
    return HuggingFace(on_this_cpu(config), compiled, clock()).seconds


# Ours as it comes is not compiled on a CPU.
WAYS: dict[str, Callable[[RunConfig], Timed]] = {
    "arith": lambda config: ours(config, compiled="auto"),
    "arith, compiled": lambda config: ours(config, compiled="on"),
    "Hugging Face Trainer": lambda config: theirs(config, compiled=False),
    "Hugging Face Trainer, compiled": lambda config: theirs(config, compiled=True),
}


def measured(name: str, steps: int | None, repeats: int) -> dict[str, Any]:
    """Median step of each way in each repetition, and how many times as fast ours is."""
    config, usual, goal = MODELS[name]
    experiment = on_this_cpu(config)
    trials = {way: make(config) for way, make in WAYS.items()}
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    fastest = dict.fromkeys(WAYS, math.inf)
    for seconds in trials.values():
        seconds(steps or usual)  # warms up, and compiles
    for _ in range(repeats):
        for way, seconds in trials.items():
            times = seconds(steps or usual)
            found[way].append(statistics.median(times))
            fastest[way] = min(fastest[way], *times)
    peer = HuggingFace(experiment)
    row: dict[str, Any] = {
        "model": name,
        "encoding": config.encoding,
        "parameters": experiment.model().parameter_count(),
        "gpt2_parameters": peer.parameters(),
        "batch": config.training.batch,
        "longest_sequence_tokens": experiment.training_data().longest,
        "steps": steps or usual,
        "repeats": repeats,
        "goal": goal,
        "step_seconds": found,
        "fastest_seconds": fastest,
    }
    row["samples_per_second"] = {way: config.training.batch / statistics.median(own) for way, own in found.items()}
    row["times_as_fast"] = {
        way: [theirs / own for own, theirs in zip(found["arith"], times, strict=True)] for way, times in found.items()
    }
    return row


def told(row: dict[str, Any]) -> str:
    size = f"{row['parameters']:,} parameters, GPT-2 {row['gpt2_parameters']:,}"
    lines = [
        f"{row['model']}: {row['encoding']}, {size}, batch {row['batch']}, {row['longest_sequence_tokens']} tokens"
    ]
    for way, times in row["step_seconds"].items():
        ms = f"{1000 * statistics.median(times):.4g} ms [{1000 * min(times):.4g}, {1000 * max(times):.4g}]"
        ratios = row["times_as_fast"][way]
        beside = "" if way == "arith" else f", arith is {_ratio(ratios)} times as fast"
        goal = f" (goal {row['goal']})" if way == "Hugging Face Trainer" and row["goal"] else ""
        ms += f", fastest {1000 * row['fastest_seconds'][way]:.4g}"
        lines.append(f"  {way:32} {ms}, {row['samples_per_second'][way]:,.0f} samples/s{beside}{goal}")
    return "\n".join(lines)


def _ratio(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


@click.command()
@click.option("--model", "names", type=click.Choice(list(MODELS)), multiple=True, help="One or some.  [default: all]")
@click.option("--steps", type=int, help="At a time.")
@click.option("--repeats", default=5)
@click.option("--threads", default=os.cpu_count() or 1)
@click.option("--publish", is_flag=True)
def main(names: tuple[str, ...], steps: int | None, repeats: int, threads: int, publish: bool) -> None:
    torch.set_num_threads(threads)
    path = results_folder() / "training-speed.json"
    for name in names or MODELS:
        row = measured(name, steps, repeats)
        print(told(row), flush=True)
        if publish:
            kept = json.loads(path.read_text()) if path.is_file() else {}
            seconds = "of this process on a CPU" if threads == 1 else "on the wall"
            about = {**provenance(MODELS[name][0].imports), "threads": threads, "seconds": seconds}
            key = name if threads > 1 else f"{name}, one thread"
            path.write_text(json.dumps({**kept, key: {"about": about, **row}}, indent=1) + "\n")
            print(f"published {path}")


if __name__ == "__main__":
    main()
