"""Training curves from metrics.jsonl by step: loss, ratio of gradients, sharpness, accuracy in and beyond training."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import ticker
from matplotlib.axes import Axes

from arith.errors import UsageError
from arith.figures import labels, style
from arith.figures.labels import Label
from arith.results.schema import METRICS, WATCHED, watched_name

LEFT, BOTTOM, TOP, BETWEEN, LABELS, RIGHT = 0.55, 0.38, 0.12, 0.17, 1.28, 0.05  # inches around the panels
LOWEST = 1.1  # inches: the least height of a panel, which grows with its labels
# By field, from the upper panel to the lower. The ratio is of the embedding to a block, per root parameter.
# `edge` is 1 at the edge of stability; see `arith.training.sharpness`.
NAMES = {
    "loss": "loss (nats a token)",
    "gradient_ratio": "gradient ratio",
    "sharpness": "sharpness",
    "edge": "sharpness / limit",
    "accuracy": "exact match (%)",
}


@dataclass(frozen=True)
class Training:
    """One run: for each quantity that it has, steps and values."""

    label: str
    series: dict[str, list[tuple[int, float]]]


def read_training(path: Path) -> Training:
    """Read the metrics of a run.

    Args:
        path: a run's folder, or a metrics.jsonl.

    Raises:
        UsageError: there is none, or a line or field is not what it should be.
    """
    file = path / METRICS if path.is_dir() else path
    try:
        *lines, last = file.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}. A run's training is logged in {METRICS}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} holds no metrics: it is no text") from error
    # A last line without an end was cut off when the machine went down.
    lines += [last] if last.endswith("}") else []
    series: dict[str, list[tuple[int, float]]] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{file}, line {number}, is no JSON: {error}") from error
        step = row.get("step") if isinstance(row, dict) else None
        if not isinstance(step, int) or not 0 <= step < 2**63:
            raise UsageError(f"{file}, line {number}: field 'step' is a whole number, got {line!r:.60}")
        # Loss is logged every few steps, accuracy far more rarely: a line need not have both.
        watched = row.get(WATCHED, {})
        if not isinstance(watched, dict) or not all(map(str.isdecimal, watched)):
            raise UsageError(f"{file}, line {number}: field '{WATCHED}' is a table by digits, got {watched!r:.60}")
        accuracies = {watched_name(digits): value for digits, value in watched.items()}
        for name, value in (row | accuracies).items():
            if name in NAMES or name in accuracies:
                # Python's json reads NaN and Infinity, and whole numbers beyond all floats: no axis can show them.
                if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
                    raise UsageError(f"{file}, line {number}: field '{name}' is a number, got {value!r}")
                series.setdefault(name, []).append((step, float(value)))
    if not series:
        raise UsageError(f"{file} holds no loss and no accuracy")
    return Training(file.parent.name if file.name == METRICS else file.stem, series)


def draw_training(runs: Sequence[Training], path: Path, title: str = "") -> list[Path]:
    """Draw the loss above the ratio of gradients and the accuracy as png, pdf and svg, and write the numbers as csv.

    Args:
        runs: a curve each.
        path: the figure's, without an ending.
        title: above all panels.
    """
    # A watched length is a quantity of its own, and runs may watch different ones.
    known = dict.fromkeys([*NAMES, *sorted({name for run in runs for name in run.series}, key=_by_length)])
    shown = [name for name in known if any(run.series.get(name) for run in runs)]
    height = max(LOWEST, labels.total_height([run.label for run in runs]))
    width = style.COLUMN - LEFT - LABELS - RIGHT
    last = max(step for run in runs for points in run.series.values() for step, _ in points)
    full_height = TOP + len(shown) * height + (len(shown) - 1) * BETWEEN + BOTTOM
    with style.canvas(style.COLUMN, full_height, title) as page:
        for row, name in enumerate(shown):
            bottom = BOTTOM + (len(shown) - 1 - row) * (height + BETWEEN)
            panel = page.panel(LEFT, bottom, width, height)
            panel.set_xlim(0, max(last, 1))
            written = _draw_runs(panel, runs, name)
            panel.set_ylabel(NAMES.get(name) or f"{_by_length(name)} digits (%)", labelpad=2)
            # At one distance in all panels, however wide their numbers are.
            panel.yaxis.set_label_coords(-0.42 / width, 0.5)
            panel.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
            if row < len(shown) - 1:
                panel.set_xticklabels([])
            else:
                panel.set_xlabel("training step", labelpad=2)
            labels.write(panel, written, width, height)
        files = page.save(path)
    rows = [(run.label, name, *point) for run in runs for name in shown for point in run.series.get(name, [])]
    return [*files, style.write_table(path, ["run", "quantity", "step", "value"], rows)]


def _by_length(name: str) -> int:
    """The digits in the name of a watched length; 0 in that of any other quantity."""
    return next((int(word) for word in name.split() if word.isdecimal()), 0)


def _draw_runs(panel: Axes, runs: Sequence[Training], name: str) -> list[Label]:
    """Draw one quantity of all runs that have it, and return their labels."""
    written, share = [], name.startswith("accuracy")
    for place, run in enumerate(runs):
        if not run.series.get(name):
            continue
        steps, values = zip(*run.series[name], strict=True)
        # Accuracy has few points, each a test; the others have hundreds, whose markers would hide the line.
        (line,) = panel.plot(
            steps,
            [100 * value for value in values] if share else values,
            color=style.COLOURS[place % len(style.COLOURS)],
            ls=style.DASHES[(place + place // len(style.COLOURS)) % len(style.DASHES)],
            lw=1.0,
            marker=style.MARKERS[place % len(style.MARKERS)] if share else "",
            ms=3,
            clip_on=not share,
        )
        end = float(line.get_ydata()[-1])  # type: ignore[index, arg-type]
        written.append(Label(run.label, (float(steps[-1]), end), line))
    if not share:
        # A loss of exactly 0, as float32 can give, has no place on a logarithmic axis.
        positive = all(value > 0 for run in runs for _, value in run.series.get(name, []))
        panel.set_yscale("log" if positive else "linear")
        panel.yaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        panel.set_ylim(0, 100)
    if name == "edge":
        panel.axhline(1, color="0.45", lw=0.7, ls="--", zorder=1)
    return written
