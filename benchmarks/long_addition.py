"""Additions of 100 to 10,000 digits on a CPU: time and memory with narrow windows, and where all pairs are computed.

The model is the demo's coupled window, trained on 1-4 digits: half a minute. Each length is one problem, answered in
one teacher-forced pass and by cached greedy decoding, in a process of its own, whose peak of memory is that of the
length; data and imports are not timed, but take memory. Goal: both grow with the digits, not with their square.
`--publish` writes results/long-addition.json and the figure; `--most 500` is quick. One thread, since where others use
the cores two of them wait for each other.
"""

import dataclasses
import functools
import json
import multiprocessing
import re
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Literal

import click
import torch

from arith.config import recipe
from arith.data.batch import Batch
from arith.evaluation.teacher_forced import judge_batch
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance, results_folder
from arith.experiment.run import Run
from arith.figures import style
from arith.kernels.attention import attention
from arith.model import block as model_module
from arith.model.transformer import Transformer
from arith.training.loop import train

Way = Literal["one pass", "decoding"]
DIGITS = (100, 200, 500, 1000, 2000, 5000, 10_000)
ALL_PAIRS = 2000  # digits up to which all pairs are computed: beyond, their scores take gigabytes
REPEATS = 5


def passed(model: Transformer, batch: Batch) -> bool:
    return bool(judge_batch(model, batch).right[0])


def decoded(model: Transformer, batch: Batch) -> bool:
    cut = batch.shortest_prompt
    prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, :cut])
    answer = model.answer(prompt, batch.key, batch.tokens.shape[1] - cut, batch.capacity)
    return torch.equal(answer, batch.tokens[:, cut:])


def peak_mebibytes() -> float:
    """Of this process; what `resource` tells counts the parent's peak as well."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def measured(folder: Path, digits: int, way: Way, all_pairs: bool, threads: int) -> dict[str, Any]:
    """One length, in a process that does nothing else."""
    torch.set_num_threads(threads)
    if all_pairs:
        model_module.attention = functools.partial(attention, backend="reference")  # type: ignore[attr-defined]
    run = Run.open(folder)
    experiment = Experiment.of(run.config.with_values({"evaluation": {"digits": [digits]}}))
    model, _ = run.load_model(experiment)
    batch = experiment.test_data("random", digits).batch(0, 1, torch.device("cpu"))
    answer = passed if way == "one pass" else decoded
    times, right = [], True
    for _ in range(1 + REPEATS if way == "one pass" else 1):
        began = time.perf_counter()
        right &= answer(model, batch)
        times.append(time.perf_counter() - began)
    return {
        "digits": digits,
        "tokens": batch.tokens.shape[1],
        "way": way,
        "all_pairs": all_pairs,
        "seconds": statistics.median(times[1:] or times),
        "peak_mebibytes": peak_mebibytes(),
        "right": right,
    }


def drawn(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds and memory against digits."""
    with style.pyplot.rc_context(style.STYLE):
        figure, axes = style.pyplot.subplots(1, 2, figsize=(style.PAGE * 0.75, 2.5), layout="constrained")
        curves = [(way, all_pairs) for all_pairs in (False, True) for way in ("one pass", "decoding")]
        for place, (way, all_pairs) in enumerate(curves):
            own = [row for row in rows if row["way"] == way and row["all_pairs"] == all_pairs]
            for axis, what in zip(axes, ("seconds", "peak_mebibytes"), strict=True):
                axis.loglog(
                    [row["digits"] for row in own],
                    [row[what] for row in own],
                    color=style.COLOURS[place],
                    linestyle=style.DASHES[place],
                    marker=style.MARKERS[place],
                    markersize=3,
                    label=f"{way}, {'all pairs' if all_pairs else 'within the window'}",
                )
        axes[0].set(xlabel="digits of each operand", ylabel="seconds for one addition")
        axes[1].set(xlabel="digits of each operand", ylabel="peak memory of the process (MiB)")
        axes[1].set(yscale="linear", ylim=(0, None))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        style.save_figure(figure, path)
    header = ["digits", "tokens", "way", "all_pairs", "seconds", "peak_mebibytes", "right"]
    style.write_table(path, header, [[row[name] for name in header] for row in rows])


@click.command()
@click.option("--most", default=DIGITS[-1], help="Digits of the longest addition.")
@click.option("--threads", default=1)
@click.option("--publish", is_flag=True)
def main(most: int, threads: int, publish: bool) -> None:
    torch.set_num_threads(threads)
    config = recipe.load_config("extrapolation:coupled-window")
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as alone,
    ):
        place = Path(folder) / "run"
        train(Run.begin(place, config), Experiment.of(config))
        ways: tuple[Way, ...] = ("one pass", "decoding")
        for all_pairs, way in ((False, ways[0]), (False, ways[1]), (True, ways[0]), (True, ways[1])):
            for digits in DIGITS:
                if digits <= (min(ALL_PAIRS, most) if all_pairs else most):
                    row = alone.submit(measured, place, digits, way, all_pairs, threads).result()
                    rows.append(row)
                    print(" ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()))
    if publish:
        about = {**provenance(config.imports), "threads": threads, "repeats": REPEATS}
        path = results_folder() / "long-addition"
        path.with_suffix(".json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
        drawn(rows, path)
        print(f"published {path}.json and the figure")


if __name__ == "__main__":
    main()
