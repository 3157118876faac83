"""Training curves from metrics.jsonl: loss and accuracy on validation problems against steps."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import pyplot, ticker

from arith.errors import UsageError
from arith.figures import labels, style
from arith.figures.labels import Label
from arith.results.schema import METRICS

LEFT, BOTTOM, TOP, BETWEEN, LABELS = 0.55, 0.38, 0.12, 0.17, 1.28  # inches around the panels
LOWEST = 1.1  # inches of a panel
NAMES = {"loss": "loss (nats a token)", "accuracy": "exact match (%)"}


@dataclass(frozen=True)
class Training:
    """One run: steps and values of each quantity."""

    label: str
    series: dict[str, list[tuple[int, float]]]


def read_training(path: Path) -> Training:
    """The metrics of a run.

    Args:
        path: of a run's folder, or of a metrics.jsonl.

    Raises:
        UsageError: there is none, or a line or field is not what it should be.
    """
    file = path / METRICS if path.is_dir() else path
    try:
        *lines, last = file.read_text().split("\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}. A run's training is logged in {METRICS}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} holds no metrics: it is no text") from error
    lines += [last] if last.endswith("}") else []  # one without an end was cut off when the machine went down
    series: dict[str, list[tuple[int, float]]] = {name: [] for name in NAMES}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{file}, line {number}, is no JSON: {error}") from error
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            raise UsageError(f"{file}, line {number}: field 'step' is a whole number, got {line!r:.60}")
        for name, points in series.items():
            if name in row:
                value = row[name]
                if not isinstance(value, int | float) or not math.isfinite(value):
                    raise UsageError(f"{file}, line {number}: field '{name}' is a number, got {value!r}")
                points.append((row["step"], float(value)))
    if not any(series.values()):
        raise UsageError(f"{file} holds no {' and no '.join(NAMES)}")
    return Training(file.parent.name if file.name == METRICS else file.stem, series)


def draw_training(drawn: Sequence[Training], path: Path, title: str = "") -> list[Path]:
    """Draw the loss above the accuracy into png, pdf, svg, and write the numbers as csv."""
    shown = [name for name in NAMES if any(own.series[name] for own in drawn)]
    side = max(LOWEST, labels.total_height([own.label for own in drawn]))
    width, top = style.COLUMN, TOP + (0.22 if title else 0)
    height = top + len(shown) * side + (len(shown) - 1) * BETWEEN + BOTTOM
    across = width - LEFT - LABELS - 0.05
    last = max(step for own in drawn for points in own.series.values() for step, _ in points)
    with pyplot.rc_context(style.STYLE):
        figure = pyplot.figure(figsize=(width, height))
        for row, name in enumerate(shown):
            down = top + row * (side + BETWEEN)
            panel = figure.add_axes((LEFT / width, 1 - (down + side) / height, across / width, side / height))
            panel.set_xlim(0, last)
            written = []
            for place, own in enumerate(drawn):
                if not own.series[name]:
                    continue
                steps, values = zip(*own.series[name], strict=True)
                colour = style.COLOURS[place % len(style.COLOURS)]
                (line,) = panel.plot(
                    steps,
                    values if name == "loss" else [100 * value for value in values],
                    color=colour,
                    ls=style.DASHES[(place + place // len(style.COLOURS)) % len(style.DASHES)],
                    lw=1.0,
                    marker=style.MARKERS[place % len(style.MARKERS)] if name == "accuracy" else "",
                    ms=3,
                    clip_on=name == "loss",
                )
                end = float(line.get_ydata()[-1])  # type: ignore[index, arg-type]
                written.append(Label(own.label, (float(steps[-1]), end), line))
            if name == "loss":
                positive = all(value > 0 for own in drawn for _, value in own.series[name])
                panel.set_yscale("log" if positive else "linear")
                panel.yaxis.set_minor_formatter(ticker.NullFormatter())
            else:
                panel.set_ylim(0, 100)
            panel.set_ylabel(NAMES[name], labelpad=2)
            panel.yaxis.set_label_coords(-0.42 / across, 0.5)
            panel.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
            if row < len(shown) - 1:
                panel.set_xticklabels([])
            else:
                panel.set_xlabel("training step", labelpad=2)
            labels.write(panel, written, across, side)
        if title:
            figure.text(0.5, 1 - 0.06 / height, title, fontsize=8, va="top", ha="center", parse_math=False)
        files = style.save_figure(figure, path)
    rows = [(own.label, name, *point) for own in drawn for name in NAMES for point in own.series[name]]
    return [*files, style.write_table(path, ["run", "quantity", "step", "value"], rows)]
