"""Exact match in one pass beside batched, cached greedy decoding of the same model, and how long a large grid takes.

Both say of the same problems whether every token of the answer is right; the run fails if they differ. Then a grid of
100 x 100 operand lengths with 10 problems a cell; goal: 3 minutes on 2 cores. The model is the demo's, trained for a
while so that some answers are right and some wrong. `--publish` writes results/evaluation-speed.json; `--grid 20` is
quick. Where others use the cores, take `--threads 1` and read the seconds of this process on a CPU.
"""

import dataclasses
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import click
import torch

from arith.config import recipe
from arith.data.batch import Batch
from arith.evaluation.exact_match import evaluate
from arith.evaluation.teacher_forced import judge_batch, rows_at
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance, results_folder
from arith.experiment.run import Run
from arith.model.transformer import Transformer
from arith.tasks import vocabulary
from arith.training.loop import train

DIGITS = 20


def decoded_matches(model: Transformer, batch: Batch) -> torch.Tensor:
    cut = batch.shortest_prompt
    prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, :cut])
    decoded = model.answer(prompt, batch.key, batch.tokens.shape[1] - cut, batch.capacity)
    padded = torch.full_like(batch.tokens[:, cut:], vocabulary.token(vocabulary.PAD))
    padded[:, : decoded.shape[1]] = decoded
    return (padded == batch.tokens[:, cut:]).all(1)


def compare(experiment: Experiment, model: Transformer, size: int, repeats: int) -> dict[str, float]:
    data = experiment.test_data("random", DIGITS)
    batch = data.batch(0, size, torch.device("cpu"))
    # Decoding takes the batch whole, which is best for it; one pass takes as many rows as evaluation gives it.
    parts = [own for _, own in data.batches(size, lambda tokens: rows_at(model, tokens), torch.device("cpu"))]
    found: dict[str, list[float]] = {"one pass": [], "decoding": []}
    ways = {
        "one pass": lambda: torch.cat([judge_batch(model, part).right for part in parts]),
        "decoding": lambda: decoded_matches(model, batch),
    }
    right = {}
    for name in [*ways, *list(ways) * repeats]:  # the first of each warms up
        began = time.perf_counter()
        right[name] = ways[name]()
        found[name].append(time.perf_counter() - began)
    if not torch.equal(right["one pass"], right["decoding"]):
        raise SystemExit("one pass and decoding differ")
    seconds = {name: statistics.median(times[1:]) for name, times in found.items()}
    ratio = seconds["decoding"] / seconds["one pass"]
    share = float(right["decoding"].float().mean())
    spread = {name: f"[{min(times[1:]):.4f}, {max(times[1:]):.4f}]" for name, times in found.items()}
    print(f"batch {size:>5}: " + ", ".join(f"{n} {s:.4f} s {spread[n]}" for n, s in seconds.items()), end="")
    print(f", ratio {ratio:.1f}, {share:.0%} right by both")
    return {"batch": size, "one_pass_seconds": seconds["one pass"], "decoding_seconds": seconds["decoding"]} | {
        "ratio": ratio,
        "right": share,
    }


def grid_seconds(experiment: Experiment, model: Transformer, most: int) -> dict[str, float]:
    sets = experiment.tests.grid(f"1-{most}", 10)
    began, began_cpu = time.perf_counter(), time.process_time()
    cells = list(evaluate(experiment, model, sets, label="demo", step=1, training_seconds=0))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = f"{most} x {most}, 10 problems a cell: {len(cells)} cells"
    print(f"grid {size} in {seconds:.1f} s, {cpu_seconds:.1f} s of them on a CPU, {mebibytes:.0f} MiB at most")
    times = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mebibytes": mebibytes}
    return {"lengths": most, "cells": len(cells), "problems": 10, **times}


@click.command()
@click.option("--steps", default=800, help="Of training.")
@click.option("--repeats", default=5)
@click.option("--grid", default=100, help="Longest operand of the grid.")
@click.option("--threads", default=2)
@click.option("--publish", is_flag=True)
def main(steps: int, repeats: int, grid: int, threads: int, publish: bool) -> None:
    torch.set_num_threads(threads)
    digits = {"digits": [DIGITS, grid]}
    config = recipe.load_config("extrapolation:coupled-window").with_values(
        {"training": {"steps": steps, "evaluate_every": steps}, "evaluation": digits}
    )
    experiment = Experiment.of(config)
    with tempfile.TemporaryDirectory() as folder:
        model = train(Run.begin(Path(folder) / "run", config), experiment)
    print(f"additions of {DIGITS} digits, {threads} threads, median of {repeats} [min, max]")
    batches = [compare(experiment, model, size, repeats) for size in (32, 256, 2048)]
    measured = {"batches": batches, "grid": grid_seconds(experiment, model, grid)}
    if publish:
        about = {**provenance(config.imports), "digits": DIGITS, "steps": steps, "threads": threads, "repeats": repeats}
        path = results_folder() / "evaluation-speed.json"
        path.write_text(json.dumps({"about": about, **measured}, indent=1) + "\n")
        print(f"published {path}")


if __name__ == "__main__":
    main()
