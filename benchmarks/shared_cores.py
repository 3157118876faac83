"""A training step beside other busy processes: threads that wait as arith has them, and as their library does.

    python benchmarks/shared_cores.py [--busy 2] [--steps 40] [--repeats 5]

Prints the median step of two models of the demo, quiet and beside processes that never rest, with both ways to wait.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ENCODINGS = ("t5", "coupled-window")
WARM = 10  # steps that are not timed


def time_steps(name: str, steps: int) -> float:
    """The median seconds of a training step of a run of the recipe `extrapolation`."""
    import torch

    from arith.config.recipe import load_config
    from arith.experiment.experiment import Experiment
    from arith.training.environment import keep_freed_memory
    from arith.training.feed import Feed
    from arith.training.optimiser import build_optimizer
    from arith.training.step import training_step

    keep_freed_memory()
    experiment = Experiment.of(load_config(f"extrapolation:{name}"))
    config, model = experiment.config.training, experiment.model()
    optimizer = build_optimizer(model, config)
    feed = Feed(experiment.training_data(), model.encoding, config, torch.device("cpu"))
    seconds = []
    for step in range(WARM + steps):
        batches = feed.batches(step)
        began = time.perf_counter()
        training_step(model, optimizer, batches, config)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM:])


def measure(ours: bool, steps: int) -> dict[str, float]:
    """Median steps in a process of its own, as the way to wait is fixed when torch loads."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
    command = [sys.executable, __file__, "--child", "ours" if ours else "theirs", "--steps", str(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    timed: dict[str, float] = json.loads(done.stdout)
    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=2, help="processes that never rest")
    parser.add_argument("--steps", type=int, default=40, help="timed steps")
    parser.add_argument("--repeats", type=int, default=5, help="processes, of which the median is taken")
    parser.add_argument("--child", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        if options.child == "ours":
            from arith.process.cores import yield_idle_cores

            yield_idle_cores()
        print(json.dumps({name: time_steps(name, options.steps) for name in ENCODINGS}))
        return
    found: dict[tuple[int, bool], dict[str, list[float]]] = {}
    for busy in (0, options.busy):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            # In turn, so that whatever else the machine does falls on both alike.
            for _ in range(options.repeats):
                for ours in (True, False):
                    for name, seconds in measure(ours, options.steps).items():
                        found.setdefault((busy, ours), {}).setdefault(name, []).append(seconds)
        finally:
            for other in others:
                other.kill()
                other.wait()
    print(f"{'':16}{'quiet ms':>20}{f'beside {options.busy} ms':>22}{'slower by':>22}")
    print(f"{'':16}{'arith':>10}{'libgomp':>10}{'arith':>12}{'libgomp':>10}{'arith':>12}{'libgomp':>10}")
    for name in ENCODINGS:
        quiet, beside = (
            [statistics.median(found[busy, ours][name]) for ours in (True, False)] for busy in (0, options.busy)
        )
        row = [1e3 * value for value in (*quiet, *beside)] + [b / q for q, b in zip(quiet, beside, strict=True)]
        print(f"{name:16}" + "".join(f"{value:>{12 if at in (2, 4) else 10}.1f}" for at, value in enumerate(row)))


if __name__ == "__main__":
    main()
