"""A run's measured speed, in words and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from arith.performance.throughput import Throughput
from arith.results.tables import align_columns

FORMULA = "6 N + 12 L w n FLOPs a token: N parameters, L layers, w width, n tokens of a sequence"


def as_json(found: Throughput) -> dict[str, Any]:
    """Everything measured, and the rates that follow from it."""
    share, peak = found.mfu
    derived = {
        "step_seconds": found.step_seconds,
        "samples_per_second": found.samples_per_second,
        "tokens_per_second": found.tokens_per_second,
        "padded_tokens_per_second": found.padded_tokens / found.step_seconds,
        "flops_per_second": found.flops / found.step_seconds,
        "mfu": share,
        "mfu_formula": FORMULA,
        "peak": peak,
    }
    return {**asdict(found), **derived}


def describe(found: Throughput) -> str:
    """Summarise in a few lines, with a table of where a step's time goes."""
    spread = f"[{1000 * min(found.seconds):.3g}, {1000 * max(found.seconds):.3g}]"
    share, peak = found.mfu
    way = "compiled" if found.compiled else "eager"
    rows = [
        ["model", f"{found.parameters:,} parameters, {found.precision}, {way}, on {found.device}"],
        [
            "step",
            f"{1000 * found.step_seconds:.3g} ms of {found.rows} samples, median of {len(found.seconds)} "
            f"{spread}, its samples and ids included",
        ],
        ["samples/s", f"{found.samples_per_second:,.0f}"],
        [
            "tokens/s",
            f"{found.tokens_per_second:,.0f}, padding included {found.padded_tokens / found.step_seconds:,.0f}",
        ],
        ["FLOP/s", f"{found.flops / found.step_seconds:.3g} of matrix products, counted, padding included"],
        ["MFU", f"not told: {peak}" if share is None else f"{share:.1%} of {peak}; {FORMULA}; padding counts nothing"],
        [
            "state",
            f"{found.state_bytes / found.parameters:.1f} bytes a parameter: weights, gradients and the optimiser's",
        ],
        ["memory", f"{found.peak_bytes / 2**20:,.0f} MiB at most"],
    ]
    return align_columns(rows) + ("\n\n" + _parts(found) if found.parts else "")


def _parts(found: Throughput) -> str:
    parts = {"samples and ids": found.data_seconds, **found.parts}
    whole = sum(parts.values())  # shares of the parts' sum, which is a little more than a step takes
    rows = [["part of a step", "ms", "share"]]
    rows += [[name, f"{1000 * seconds:.3g}", f"{seconds / whole:.1%}"] for name, seconds in parts.items()]
    return align_columns(rows)


def comparison(found: Sequence[Throughput]) -> str:
    """Say how many times as fast the others are as the first."""
    lines = []
    for other in found[1:]:
        times = found[0].step_seconds / other.step_seconds
        lines.append(f"{'compiled' if other.compiled else 'eager'} is {times:.2f} times as fast")
    return "\n".join(lines)
