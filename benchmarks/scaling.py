"""Time and memory of a training step and of an evaluation against digits, parameters and batch, on this CPU.

    python benchmarks/scaling.py --quick         a few small sizes in under a minute; without it, 2.5 minutes

Fits what was measured, and foretells steps on H100s from the FLOPs and bytes counted; docs/scaling.md reads the
numbers. `--publish` writes results/scaling.json and its figure. No peer is run beside it: the yardstick is how far the
fit misses the sizes that are held out.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from scaling_study.figure import draw_scaling
from scaling_study.fit import Fit, fit
from scaling_study.forecast import ASSUMED_MFU, Machine, assumed_mfu, plan
from scaling_study.measurement import measure_all, points

from arith.config.recipe import load_config
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance, results_folder
from arith.results.tables import align_columns

SECONDS = 1.5  # spent at each size on steps, and again on tests
GPUS = (1, 8, 64)
CLOCKS = {True: "of a process on a CPU", False: "on the wall"}  # whether it has one thread


def study(quick: bool, threads: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all sizes, fit them, and foretell what does not fit here."""

    def report(row: dict[str, Any]) -> None:
        size = f"{row['digits']} digits, {row['model']}, batch {row['batch']}"
        say(f"{size}: {1000 * row['seconds']:.4g} ms a step, {row['peak_bytes'] / 2**20:,.0f} MiB")

    rows = measure_all(points(quick), threads, SECONDS / 4 if quick else SECONDS, report)
    training, testing = fit(rows), fit([_of_tests(row) for row in rows])
    for row in rows:
        row["fitted_seconds"] = training.seconds(row)
    return {
        "about": {**provenance(()), "threads": threads, "seconds": CLOCKS[threads == 1]},
        "rows": rows,
        "training_fit": asdict(training),
        "testing_fit": asdict(testing),
        "foretold": forecasts(),
    }


def _of_tests(row: dict[str, Any]) -> dict[str, Any]:
    """The evaluation's time and FLOPs in place of the step's, for a fit; a forward pass moves a third of the bytes."""
    moved = row["moved_bytes"] / 3 * row["tested"] / row["batch"]
    return {**row, "seconds": row["test_seconds"], "flops": row["test_flops"], "moved_bytes": moved}


def forecasts() -> list[dict[str, Any]]:
    """The recipe for products of 15 digits, and wider and longer ones, on one H100 and on many."""
    base = load_config("multiplication-paper:padded-reversed-15")
    rows = []
    for preset in ("small", "gpt2-small", "100m"):
        for digits in (15, 50, 100):
            changes = {
                "model": {"preset": preset},
                "format": f"padded-reversed:width={digits}",
                "data": {"digits": f"1-{digits}"},
                "evaluation": {"digits": [digits]},
            }
            config = base.with_values(changes)
            experiment = Experiment.of(config)
            with torch.device("meta"):
                parameters = experiment.model().parameter_count()
            # The last token of a sample is a label only.
            tokens, mfu = experiment.training_data().longest - 1, assumed_mfu(config.model.width)
            assert mfu is not None
            for gpus in GPUS:
                step = plan(config.model, parameters, config.training.batch, tokens, Machine(gpus), mfu)
                row = {"model": preset, "parameters": parameters, "digits": digits, "tokens": tokens}
                row |= {"batch": config.training.batch, "gpus": gpus, **asdict(step)}
                rows.append({**row, "step_seconds": step.step_seconds})
    return rows


def description(study: dict[str, Any]) -> str:
    """Tables of the fits and of what is foretold."""
    parts = []
    for name in ("training", "testing"):
        fitted = Fit(**study[f"{name}_fit"])
        rows = [[f"{name}: seconds for", "value", "95% if drawn anew"]]
        rows += [
            [feature.replace("_", " "), f"{value:.3g}", f"[{fitted.low[feature]:.3g}, {fitted.high[feature]:.3g}]"]
            for feature, value in fitted.coefficients.items()
        ]
        median, largest = fitted.error
        parts.append(f"{align_columns(rows)}\nerror at sizes held out: median {median:.0%}, largest {largest:.0%}")
    rows = [["model", "digits", "tokens", "H100s", "ms a step", "of it exchange", "memory each"]]
    rows += [
        [
            row["model"],
            str(row["digits"]),
            str(row["tokens"]),
            str(row["gpus"]),
            f"{1000 * row['step_seconds']:.3g}",
            f"{row['exchange_seconds'] / row['step_seconds']:.0%}",
            f"{row['bytes'] / 2**30:.3g} GiB" + ("" if row["fits"] else " (does not fit)"),
        ]
        for row in study["foretold"]
    ]
    shares = ", ".join(f"{share:.0%} from {width} wide" for width, share in ASSUMED_MFU)
    note = f"Foretold, not measured: products in bfloat16, batch {study['foretold'][0]['batch']}, MFU {shares}."
    return "\n\n".join([*parts, f"{align_columns(rows)}\n{note}"])


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A few small sizes, in under a minute.")
@click.option(
    "--threads", type=click.IntRange(1), default=os.cpu_count() or 1, help="For torch; one measures CPU time."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("scaling"), help="The figure, without its ending.")
@click.option("--publish", is_flag=True, help="Write results/scaling.json and its figure.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def main(quick: bool, threads: int, out: Path, publish: bool, as_json: bool) -> None:
    if publish and quick:
        raise click.UsageError("what is published is measured whole: give --publish without --quick")
    found = study(quick, threads, lambda line: click.echo(line, err=True))
    if publish:
        out = results_folder() / "scaling"
        out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    files = draw_scaling(found["rows"], out)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(description(found))
    click.echo("\n".join(f"figure   {file}" for file in files))


if __name__ == "__main__":
    main()
