"""Products with a short factor on a CPU: seconds, loops and memory of one problem, as `arith ask` answers it.

The model is the shipped `multiplication`, told the algorithm; `--model RUN` takes another. Two ways to write the
factors are compared, with the same weights: both as long as the longer one (`padded-reversed`, which takes a loop for
each of its digits, up to `--padded` digits), and the longer one first, none padded (a loop for each digit of the
shorter one). Each row is a process of its own, whose peak of memory includes imports; seconds are of writing the
problem and of the whole answer. Wall and CPU seconds, as others may use the cores. Goal: at most 5 s for 1,000 x 2.
`--publish` writes results/thin-products-cost.json.
"""

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from arith.catalogue.named import format_named
from arith.data.typed import write_typed
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.experiment.provenance import provenance, results_folder
from benchmarks.long_addition import peak_mebibytes

PADDED, THIN = "padded-reversed", "padded-reversed:pad=answer,first=longest"
FACTORS = ((100, 2), (200, 2), (1000, 1), (1000, 2), (2, 1000), (3000, 2), (10_000, 2))


def measure(model: str, factors: tuple[int, int], form: str, threads: int) -> dict[str, Any]:
    """One problem, in a process that does nothing else."""
    torch.set_num_threads(threads)
    run = open_model(Path(model))
    experiment = Experiment.of(run.config)
    trained, _ = run.load_model(experiment)
    loops: list[None] = []
    trained.blocks[0].register_forward_hook(lambda *_: loops.append(None))
    draw = np.random.default_rng(list(factors))
    problem = "*".join("".join(map(str, [*draw.integers(1, 10, 1), *draw.integers(0, 10, n - 1)])) for n in factors)
    clocks = [(time.perf_counter(), time.process_time())]
    typed = write_typed(problem, experiment.tests.task, format_named(form), 0, trained.encoding)
    batch = typed.batch(torch.device("cpu"))
    answer = trained.answer(batch.prompt, batch.key, 2 * sum(factors), batch.capacity)[0].tolist()
    clocks.append((time.perf_counter(), time.process_time()))
    (began, cpu_began), (ended, cpu_ended) = clocks
    return {
        "factors": list(factors),
        "format": form,
        "tokens": int(typed.written.lengths[0]),
        "loops": len(loops),
        "right": answer == typed.written.tokens[0, typed.cut :].tolist(),
        "seconds": round(ended - began, 3),
        "cpu_seconds": round(cpu_ended - cpu_began, 3),
        "peak_mebibytes": round(peak_mebibytes(), 1),
    }


@click.command()
@click.option("--model", default="multiplication", help="A run, an exported folder or a shipped name.")
@click.option("--padded", default=200, help="Digits of the longest product that is padded too: 1,000 take 15 minutes.")
@click.option("--threads", default=1)
@click.option("--publish", is_flag=True)
def main(model: str, padded: int, threads: int, publish: bool) -> None:
    rows = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as alone:
        for factors in FACTORS:
            for form in (PADDED, THIN) if max(factors) <= padded else (THIN,):
                rows.append(alone.submit(measure, model, factors, form, threads).result())
                print(" ".join(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
    if publish:
        about = {**provenance(()), "model": model, "threads": threads}
        path = results_folder() / "thin-products-cost.json"
        path.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
        print(f"published {path}")


if __name__ == "__main__":
    main()
