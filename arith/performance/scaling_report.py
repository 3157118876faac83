"""Scaling as a whole: measured, fitted, foretold for GPUs, drawn, told."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from arith.config.recipe import run_named
from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance, results_folder
from arith.figures.scaling import draw_scaling
from arith.performance.forecast import ASSUMED_MFU, Machine, assumed_mfu, plan
from arith.performance.scaling import Fit, fit, measure_all, points
from arith.results.tables import aligned

SECONDS = 1.5  # of timing at each size, for steps and for tests
GPUS = (1, 8, 64)
CLOCKS = {True: "of a process on a CPU", False: "on the wall"}  # whether it has one thread


def scaling(quick: bool, threads: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all sizes, fit them, and foretell what does not fit here."""
    wanted = points(quick)

    def told(row: dict[str, Any]) -> None:
        place = f"{row['digits']} digits, {row['model']}, batch {row['batch']}"
        say(f"{place}: {1000 * row['seconds']:.4g} ms a step, {row['peak_bytes'] / 2**20:,.0f} MiB")

    rows = measure_all(wanted, threads, SECONDS / 4 if quick else SECONDS, told)
    training, testing = fit(rows), fit([_tested(row) for row in rows])
    for row in rows:
        row["fitted_seconds"] = training.seconds(row)
    return {
        "about": {**provenance(RunConfig()), "threads": threads, "seconds": CLOCKS[threads == 1]},
        "rows": rows,
        "training_fit": dataclasses.asdict(training),
        "testing_fit": dataclasses.asdict(testing),
        "foretold": foretold(),
    }


def _tested(row: dict[str, Any]) -> dict[str, Any]:
    """The evaluation's time and FLOPs in place of the step's, for a fit; a forward pass moves a third of the bytes."""
    moved = row["moved_bytes"] / 3 * row["tested"] / row["batch"]
    return {**row, "seconds": row["test_seconds"], "flops": row["test_flops"], "moved_bytes": moved}


def foretold() -> list[dict[str, Any]]:
    """The recipe for products of 15 digits, and wider and longer ones, on one H100 and on many."""
    base = run_named("multiplication-paper:padded-reversed-15")
    found = []
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
            tokens, mfu = experiment.training_data().longest - 1, assumed_mfu(config.model.width)
            assert mfu is not None
            for gpus in GPUS:
                own = plan(config.model, parameters, config.training.batch, tokens, Machine(gpus), mfu)
                row = {"model": preset, "parameters": parameters, "digits": digits, "tokens": tokens}
                row |= {"batch": config.training.batch, "gpus": gpus, **dataclasses.asdict(own)}
                found.append({**row, "step_seconds": own.step_seconds})
    return found


def published(found: dict[str, Any]) -> Path:
    """Write results/scaling.json; the path of the figure beside it, without its ending."""
    path = results_folder() / "scaling"
    path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    return path


def drawn(found: dict[str, Any], path: Path) -> list[Path]:
    """The figure's files."""
    return draw_scaling(found["rows"], path)


def described(found: dict[str, Any]) -> str:
    """Tables of the fits and of what is foretold."""
    parts = []
    for name in ("training", "testing"):
        own = Fit(**found[f"{name}_fit"])
        rows = [[f"{name}: seconds for", "value", "95% if drawn anew"]]
        rows += [
            [feature.replace("_", " "), f"{value:.3g}", f"[{own.low[feature]:.3g}, {own.high[feature]:.3g}]"]
            for feature, value in own.coefficients.items()
        ]
        parts.append(f"{aligned(rows)}\nerror at sizes held out: median {own.error[0]:.0%}, largest {own.error[1]:.0%}")
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
        for row in found["foretold"]
    ]
    shares = ", ".join(f"{share:.0%} from {width} wide" for width, share in ASSUMED_MFU)
    note = f"Foretold, not measured: products in bfloat16, batch {found['foretold'][0]['batch']}, MFU {shares}."
    return "\n\n".join([*parts, f"{aligned(rows)}\n{note}"])
