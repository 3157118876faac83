"""Training on a GPU: its speed, a multiplication recipe in 7 minutes, and addition far beyond 20 digits.

    make gpu-train                                       16 minutes on one H100, all three parts
    PYTHONPATH=. python benchmarks/gpu_train.py --part 2 one of them

1. Throughput and MFU of 85M and 10M parameters on products of 15 digits, compiled and eager, and what fused attention
   makes of a whole step with T5 and FIRE. Goals: 40% at 85M, 25% at 10M.
2. The recipe `multiplication-paper:padded-reversed-15`, as many steps as fit, tested on every pair of lengths from 1 to
   15. Goal: the test takes less than 5% of the training.
3. Addition of 1-20 digits by 10M parameters that are told nothing of digits but a fixed width, tested to 205.

Each part keeps its own time and writes results/gpu/train-DEVICE.json as it goes, beside the others' results that stand
there. `--tiny` runs everything at sizes that a CPU finishes in seconds, to see that it works.
"""

import argparse
import contextlib
import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from gpu_training.scale import BIASED, CASES, FULL, GOALS, MULTIPLICATION, TINY, Case, Scale
from kernel_checks.machine import describe_machine, use_one_stage
from torch import Tensor

from arith.config import recipe
from arith.config.schema import RunConfig
from arith.evaluation.session import evaluate_run
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import device_description, provenance
from arith.experiment.run import Run
from arith.figures.accuracy import draw_accuracy
from arith.figures.grid import draw_grids
from arith.kernels.attention import attention
from arith.kernels.routing import route
from arith.kernels.terms import Term
from arith.model.transformer import Transformer
from arith.performance.throughput import measure_throughput
from arith.performance.throughput_report import as_json, describe
from arith.process.files import write_whole
from arith.process.signals import Interrupted
from arith.results.curves import curves
from arith.results.grids import grids, summary
from arith.results.schema import Condition, Results
from arith.results.tables import accuracy_table
from arith.training.budget import for_minutes
from arith.training.environment import find_device
from arith.training.loop import train

COMPILING = 60.0  # seconds that a training may take longer than its steps were measured to


class Report:
    """The JSON of one device, part by part."""

    def __init__(self, out: Path, device: str) -> None:
        self.stem = out / f"train-{device.replace('NVIDIA ', '').replace(',', '').replace(' ', '-')}"
        out.mkdir(parents=True, exist_ok=True)

    def write(self, part: str, config: RunConfig, found: dict[str, Any]) -> None:
        path = self.stem.with_name(f"{self.stem.name}.json")
        kept = json.loads(path.read_text()) if path.is_file() else {}
        kept[part] = {"about": provenance(config.imports) | {"machine": describe_machine()}, **found}
        write_whole(path, json.dumps(kept, indent=1) + "\n")

    def figure(self, part: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}-{part}")


def speed(scale: Scale, report: Report, device: str) -> None:
    """Part 1."""
    deadline = time.monotonic() + 60 * scale.minutes[0]
    base = recipe.load_config(MULTIPLICATION).with_values({"training": {"device": device}})
    rows: list[dict[str, Any]] = []
    for case in scale.cases:
        row: dict[str, Any] = {"case": case.name, "goal": GOALS.get(case.name)}
        rows.append(row)
        if time.monotonic() > deadline:
            row["skipped"] = "out of time"
            report.write("throughput", base, {"rows": rows, "fused_attention": fused_effects(rows)})
            continue
        config = base.with_values({**scale.models[case.model], "encoding": case.encoding})
        compiled = case.compiled and device != "cpu"
        config = config.with_values({"training": {"compile": "on" if compiled else "off"}})
        try:
            with attention_by(case.fused):
                experiment = Experiment.of(config)
                row["routes"] = routes(experiment)
                found = measure_throughput(experiment, seconds=scale.timed_seconds, parts=not compiled)
            row |= as_json(found)
            print(f"{case.name}\n{describe(found)}\n", flush=True)
        except Exception as error:  # one that fails must not end the others
            row["skipped"] = f"{type(error).__name__}: {str(error)[:500]}"
            print(f"{case.name}: {row['skipped']}\n", flush=True)
        report.write("throughput", base, {"rows": rows, "fused_attention": fused_effects(rows)})
        torch.compiler.reset()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    for effect in fused_effects(rows):
        print(f"{effect['step']}: fused attention makes the whole step {effect['times_as_fast']:.2f} times as fast")
    for row in rows:
        if row["goal"] is not None:
            told(f"MFU, {row['case']}", row.get("mfu"), row["goal"])
    draw_speed(rows, report.figure("throughput"))


@contextlib.contextmanager
def attention_by(fused: bool) -> Iterator[None]:
    """Within, models attend as they would, or in plain torch."""
    if fused:
        yield
        return
    with mock.patch("arith.model.block.attention", functools.partial(attention, backend="reference")):
        yield


def routes(experiment: Experiment) -> list[str]:
    """Which implementations of attention one forward pass of a few samples takes, and why."""
    seen: dict[str, None] = {}
    import arith.model.block

    inner = arith.model.block.attention

    def watched(q: Tensor, k: Tensor, v: Tensor, *, terms: Sequence[Term] = (), **others: Any) -> Tensor:
        backend = inner.keywords["backend"] if isinstance(inner, functools.partial) else "auto"
        seen[": ".join(route(q, k, v, terms, backend)[1:])] = None
        return inner(q, k, v, terms=terms, **others)

    from arith.training.step import autocast

    device = find_device(experiment.config.training.device)
    with mock.patch("arith.model.block.attention", watched), autocast(device, experiment.config.training):
        experiment.model().to(device).loss(experiment.training_data().batch(0, 4, device))
    return list(seen)


def fused_effects(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times as fast whole steps are by fused attention."""
    by_name = {row["case"]: row for row in rows if "step_seconds" in row}
    found = []
    for case in BIASED:
        plain = Case(case.model, case.encoding, case.compiled, fused=False).name
        if case.fused and case.name in by_name and plain in by_name:
            times = by_name[plain]["step_seconds"] / by_name[case.name]["step_seconds"]
            found.append({"step": case.name, "times_as_fast": times, "routes": by_name[case.name]["routes"]})
    return found


def draw_speed(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Tokens a second of each case."""
    from matplotlib import pyplot

    from arith.figures import style

    shown = [row for row in rows if "tokens_per_second" in row]
    with pyplot.rc_context(style.STYLE):
        height = 0.5 + 0.17 * max(len(shown), 1)
        figure, panel = pyplot.subplots(figsize=(style.PAGE * 0.75, height), layout="constrained")
        bars = panel.barh(
            [row["case"] for row in shown], [row["tokens_per_second"] / 1e6 for row in shown], color=style.COLOURS[0]
        )
        labels = ["" if row["mfu"] is None else f"{row['mfu']:.0%} MFU" for row in shown]
        panel.bar_label(bars, labels, padding=2, fontsize=6)
        panel.invert_yaxis()
        panel.margins(x=0.12)
        panel.set_xlabel("million tokens a second, padding not counted")
        style.save_figure(figure, path)


def multiplication(scale: Scale, report: Report, device: str) -> None:
    """Part 2."""
    config = recipe.load_config(MULTIPLICATION).with_values(scale.multiplication)
    config = config.with_values({"training": {"device": device}})
    run, experiment, model, step, seconds = trained_for(config, scale.minutes[1], "multiplication")
    found = {"config": experiment.config.as_dict(), "step": step, "samples": experiment.config.samples_at(step)}
    found |= {"training_seconds": seconds, "metrics": run.read_metrics()}
    report.write("multiplication", experiment.config, found)  # should the test not finish
    sets = experiment.tests.grid(scale.grid, scale.tested)
    results, took = tested(run, experiment, model, step, "multiplication", sets)
    drawn = grids(results.cells)
    print(summary(drawn[0]), flush=True)
    found |= {"test_seconds": took, "test_share": took / seconds}
    found["rows"] = [cell_row(cell) for cell in results.cells]
    report.write("multiplication", experiment.config, found)
    told("time of the tests beside the training's", took / seconds, 0.05, at_most=True)
    draw_grids(drawn, report.figure("multiplication"))


def addition(scale: Scale, report: Report, device: str) -> None:
    """Part 3."""
    config = recipe.load_config("structure-free:fixed-width").with_values(scale.addition)
    config = config.with_values({"training": {"device": device}})
    run, experiment, model, step, seconds = trained_for(config, scale.minutes[2], "addition")
    results, took = tested(run, experiment, model, step, "fixed width", experiment.tests.conditions())
    drawn = [curve for suite in experiment.tests.suites() for curve in curves(results.cells, suite)]
    print(accuracy_table(drawn), flush=True)
    found = {"config": experiment.config.as_dict(), "step": step, "samples": experiment.config.samples_at(step)}
    found |= {"training_seconds": seconds, "test_seconds": took}
    found["rows"] = [cell_row(cell) for cell in results.cells]
    found["metrics"] = run.read_metrics()
    report.write("addition", experiment.config, found)
    reached = [curve.reaches or 0 for curve in drawn]
    told("digits that exact match is surely 99% to", min(reached), 200)
    draw_accuracy(curves(results.cells, experiment.tests.suites()[0]), report.figure("addition"))


def cell_row(cell: Any) -> dict[str, Any]:
    names = ("suite", "digits", "operand_lengths", "n", "correct", "accuracy", "low", "high", "seen")
    return {name: getattr(cell, name) for name in names}


def trained_for(config: RunConfig, minutes: float, name: str) -> tuple[Run, Experiment, Transformer, int, float]:
    """A run of as many steps as fit; should they not fit after all, as far as it came."""
    steps = config.training.steps
    # Each saving of 85M parameters would take seconds from the steps.
    config = config.with_values({"training": {"checkpoint_every": steps, "evaluate_every": max(steps // 4, 1)}})
    config = for_minutes(config, minutes)
    experiment = Experiment.of(config)
    print(f"{name}: {config.training.steps:,} steps of {config.training.batch} in {minutes:g} minutes", flush=True)
    run = Run.begin(Path("runs") / f"gpu-train-{name}", config, "overwrite")
    try:
        with stopped_after(1.1 * 60 * minutes + COMPILING):
            model, step = train(run, experiment), config.training.steps
    except Interrupted:
        model, checkpoint = run.load_model(experiment)
        model, step = model.to(find_device(config.training.device)), checkpoint.step
        print(f"{name}: out of time at step {step:,}", flush=True)
    return run, experiment, model, step, run.training_seconds()


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Within, training is interrupted then: it saves, and says so."""
    # Not as by Ctrl-C: what a shell starts in the background ignores that.
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def tested(
    run: Run, experiment: Experiment, model: Transformer, step: int, label: str, sets: Sequence[Condition]
) -> tuple[Results, float]:
    began = time.monotonic()
    results = evaluate_run(run, experiment, model, step, label, run.results, sets=sets)
    results.save(run.results)
    return results, time.monotonic() - began


def told(what: str, value: float | None, goal: float, at_most: bool = False) -> None:
    reached = value is not None and (value <= goal if at_most else value >= goal)
    shown = "not measured" if value is None else f"{value:.3g}"
    print(f"{'reached' if reached else 'MISSED'}  {what}: {shown} (goal {goal:g}{' at most' if at_most else ''})")


PARTS = {1: speed, 2: multiplication, 3: addition}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, choices=list(PARTS), action="append", help="one or some; all by default")
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder for the JSON and the figures")
    parser.add_argument("--minutes", type=float, help="of each part; it has its own by default")
    parser.add_argument("--cases", action="append", metavar="PART", help="of a name: what part 1 times, all by default")
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU finishes in seconds")
    given = parser.parse_args(arguments)
    if not given.tiny and not torch.cuda.is_available():
        sys.exit("benchmarks/gpu_train.py needs a CUDA GPU, and torch sees none. --tiny runs it on a CPU")
    use_one_stage()
    scale = TINY if given.tiny else FULL
    if given.minutes is not None:
        scale = replace(scale, minutes=(given.minutes,) * 3)
    asked = given.cases or [""]
    scale = replace(scale, cases=tuple(case for case in CASES if any(part in case.name for part in asked)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    report = Report(given.out, device_description())
    for part in given.part or PARTS:
        began = time.monotonic()
        PARTS[part](scale, report, device)
        print(f"part {part}: {(time.monotonic() - began) / 60:.1f} minutes\n", flush=True)


if __name__ == "__main__":
    main()
