"""Additions of 1,000 to 1,000,000 digits on a CPU: seconds and memory of one problem, for a model that sees near ids.

The model is the shipped `addition`, trained on 1-4 digits; `--model RUN` takes another. Each length and suite is one
problem in a process of its own: its peak of memory is that of the length, imports and data included. What is timed: the
data (a block of problems is drawn for one), one teacher-forced pass in blocks of ids, and, if it is asked for by
`--whole`, up to 10,000 digits the same pass over all tokens at once. Wall and CPU seconds, as others may use the cores.
Goal: at most 120 s and 4 GiB at a million digits on 2 cores. `--publish` writes results/million-digits-cost.json.
"""

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import torch

from arith.evaluation import blocks
from arith.evaluation.teacher_forced import judge_batch
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.experiment.provenance import provenance, results_folder
from benchmarks.long_addition import peak_mebibytes

DIGITS = (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
WHOLE = (
    10_000  # digits up to which all tokens are read at once for comparison: beyond, layouts of blocks take gigabytes
)


def measure(model: str, digits: int, suite: str, whole: bool, threads: int) -> dict[str, Any]:
    """One problem, in a process that does nothing else."""
    torch.set_num_threads(threads)
    run = open_model(Path(model))
    experiment = Experiment.of(run.config.with_values({"evaluation": {"digits": [digits]}}))
    trained, _ = run.load_model(experiment)
    if whole:
        blocks.STREAMED = 10**9
    clocks = [(time.perf_counter(), time.process_time())]
    batch = experiment.test_data(suite, digits).batch(0, 1)
    clocks.append((time.perf_counter(), time.process_time()))
    right = bool(judge_batch(trained, batch).right[0])
    clocks.append((time.perf_counter(), time.process_time()))
    (data, data_cpu), (passed, passed_cpu) = (
        [after - before for before, after in zip(*clocks[place : place + 2], strict=True)] for place in range(2)
    )
    return {
        "digits": digits,
        "suite": suite,
        "way": "all tokens at once" if whole else "blocks of ids",
        "right": right,
        "data_seconds": round(data, 3),
        "data_cpu_seconds": round(data_cpu, 3),
        "seconds": round(passed, 3),
        "cpu_seconds": round(passed_cpu, 3),
        "peak_mebibytes": round(peak_mebibytes(), 1),
    }


@click.command()
@click.option("--model", default="addition", help="A run, an exported folder or a shipped name.")
@click.option("--most", default=DIGITS[-1], help="Digits of the longest addition.")
@click.option("--threads", default=2)
@click.option("--whole", is_flag=True, help="Also all tokens at once, up to 10,000 digits.")
@click.option("--publish", is_flag=True)
def main(model: str, most: int, threads: int, whole: bool, publish: bool) -> None:
    rows = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as alone:
        for digits in [digits for digits in DIGITS if digits <= most]:
            for suite in ("random", "chain"):
                for way in (False, True) if whole and digits <= WHOLE else (False,):
                    rows.append(alone.submit(measure, model, digits, suite, way, threads).result())
                    print(" ".join(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
    if publish:
        about = {**provenance(()), "model": model, "threads": threads}
        path = results_folder() / "million-digits-cost.json"
        path.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
        print(f"published {path}")


if __name__ == "__main__":
    main()
