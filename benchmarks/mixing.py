"""What short convolutions on queries, keys and values cost: steps with `model.mixing=conv` beside steps without.

    python benchmarks/mixing.py [--repeats 9]

One thread, additions of up to 20 digits; the preset micro on 64 problems and the 85M shape on 4. Prints medians of
steps taken in turns, and their ratio; the bar is 1.3.
"""

import argparse
import statistics
import time

import torch

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.training.environment import keep_freed_memory

SHAPES = {"micro": 64, "gpt2-small": 4}  # preset: problems a step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="timed steps, of which the median is taken")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    for preset, rows in SHAPES.items():
        times: dict[str, list[float]] = {"none": [], "conv": []}
        config = RunConfig.of({"encoding": "rope", "data": {"digits": "1-20"}, "model": {"preset": preset}})
        experiments = {mixing: Experiment.of(config.with_values({"model": {"mixing": mixing}})) for mixing in times}
        models = {mixing: experiment.model() for mixing, experiment in experiments.items()}
        batch = experiments["none"].training_data().batch(0, rows)
        for _ in range(1 + options.repeats):
            for mixing, model in models.items():
                model.zero_grad()
                began = time.perf_counter()
                model.loss(batch).backward()
                times[mixing].append(time.perf_counter() - began)
        none, conv = (statistics.median(taken[1:]) for taken in times.values())
        print(f"{preset:12} {1000 * none:8.1f} ms without, {1000 * conv:8.1f} ms with convolutions: {conv / none:.2f}")


if __name__ == "__main__":
    main()
