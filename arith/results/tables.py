"""Text tables of curves, test sets and language models."""

import math
import statistics
from collections.abc import Sequence

from arith.results.curves import PUBLISHED_SEEDS, Curve, Point
from arith.results.measurement import AFTER, BEFORE, Language, Measurement
from arith.results.schema import COUNTS, GRID, Cell, Results, Series, label_of, watched_name
from arith.results.uncertainty import percent


def accuracy_table(drawn: Sequence[Curve]) -> str:
    """Print exact match by digit length, one line for each curve: the median over seeds and, if lower, the worst."""
    lengths = sorted({point.digits for curve in drawn for point in curve.points})
    header = [
        "encoding",
        "suite",
        "trained",
        "seeds",
        "in distr.",
        *map(str, lengths),
        "99% sure to",
        "seeds >= 99% everywhere",
    ]
    rows = [header]
    for curve in drawn:
        low, high = curve.first.train_lengths
        known = curve.in_distribution
        fitted = "-" if known is None else percent(known) + ("" if curve.fitted else " unfitted")
        points = {point.digits: point for point in curve.points}
        cells = [_entry(points.get(digits)) for digits in lengths]
        succeeded = f"{curve.succeeded}/{curve.seeds}"
        about = [curve.label, curve.suite, f"{low}-{high}", str(curve.seeds), fitted]
        rows.append([*about, *cells, str(curve.reaches or "-"), succeeded])
    # Lengths above 100 digits have fewer problems (see `EvaluationSets.conditions`), and the note must say so.
    counts = sorted({(point.digits > 100, cell.n) for curve in drawn for point in curve.points for cell in point.cells})
    described = ", ".join(f"{n}{' above 100 digits' if long else ''}" for long, n in counts)
    note = f"Exact match in %, median over seeds (worst seed) by digits of the longer operand; n = {described} a seed."
    few = min(curve.seeds for curve in drawn) < PUBLISHED_SEEDS
    development = f"Curves of fewer than {PUBLISHED_SEEDS} seeds are development figures." if few else ""
    sure = "99% sure to: the longest tested length up to which the worst seed's 95% interval begins at 99% or more."
    fit = "in distr.: the lowest of all seeds and trained lengths, random and unequal problems."
    return "\n".join(line for line in (align_columns(rows), note, fit, sure, development) if line)


def interval_table(cells: Sequence[Cell]) -> str:
    """Print exact match with its 95% Wilson interval, one line for each test set; grid cells name both lengths."""
    rows = [["suite", "digits", "n", "right", "exact match", "95% interval", "seen in training"]]
    for cell in cells:
        interval = f"{percent(cell.low)}-{percent(cell.high)}"
        grid = cell.operand_lengths if cell.suite == GRID else None
        digits = str(cell.digits) if grid is None else ", ".join(map(str, grid))
        counts = [digits, str(cell.n), str(cell.correct)]
        rows.append([cell.suite, *counts, percent(cell.accuracy), interval, str(cell.seen)])
    return align_columns(rows)


def measurement_table(rows: Sequence[Measurement]) -> str:
    """Print what a study measured, one line for each place of a label: the median over seeds of each measure.

    >>> print(measurement_table([Measurement("a", seed, 0.5, 10, {"bias": seed / 4}) for seed in (1, 2, 3)]))
    label  at   seeds  n   bias
    a      0.5  3      10  0.5
    Medians over seeds; n: test samples behind each share. Studies of fewer than 5 seeds are development figures.
    """
    groups: dict[tuple[str, float], list[Measurement]] = {}
    for row in rows:
        groups.setdefault((row.label, row.at), []).append(row)
    names = list(dict.fromkeys(name for row in rows for name in row.measures))
    table = [["label", "at", "seeds", "n", *names]]
    for (label, at), found in groups.items():
        medians = [
            f"{statistics.median(row.measures[name] for row in found):.4g}" if name in found[0].measures else "-"
            for name in names
        ]
        table.append([label, f"{at:.4g}", str(len(found)), str(found[0].n), *medians])
    few = min(len(found) for found in groups.values()) < PUBLISHED_SEEDS
    development = f" Studies of fewer than {PUBLISHED_SEEDS} seeds are development figures." if few else ""
    note = f"Medians over seeds; n: test samples behind each share.{development}"
    return "\n".join([align_columns(table), note])


def fit_table(results: Results, order: Sequence[str] = (), share: float = 0.99) -> str:
    """Print how many samples and tokens it took until all trained lengths that were watched were right so often.

    Args:
        results: of one experiment or several, with the series of `evaluation.watch`; without them nothing is printed.
        order: labels in the order of the lines; others follow.
        share: the accuracy that each length reaches.
    """
    by_run: dict[str, dict[str, Series]] = {}
    for row in results.series:
        by_run.setdefault(row.run, {})[row.name] = row
    trained = {cell.label: cell.train_lengths for cell in results.cells}
    taken: dict[str, list[list[float]]] = {}
    for run, series in by_run.items():
        label = label_of(run)
        low, high = trained.get(label, (1, 0))
        watched = [series[name].values for name in map(watched_name, range(low, high + 1)) if name in series]
        if not watched:
            continue
        fitted = [min(accuracies) >= share for accuracies in zip(*watched, strict=True)]
        first = fitted.index(True) if any(fitted) else None
        # A run that never fits counts as slower than all others.
        counts = [None if first is None or name not in series else series[name].values[first] for name in COUNTS]
        taken.setdefault(label, []).append([math.inf if count is None else count / 1000 for count in counts])
    if not taken:
        return ""
    table = [["curve", "seeds", "fitted", *(f"thousand {name}" for name in COUNTS)]]
    for label in dict.fromkeys([*(label for label in order if label in taken), *taken]):
        found = taken[label]
        reached = sum(counts[0] < math.inf for counts in found)
        table.append([label, str(len(found)), f"{reached}/{len(found)}", *map(_taken, zip(*found, strict=True))])
    note = f"Until all watched lengths of training had {percent(share)}%: median over seeds (slowest); -: not reached."
    return "\n".join([align_columns(table), note])


def _taken(counts: Sequence[float]) -> str:
    median, slowest = (f"{own:,.0f}" if own < math.inf else "-" for own in (statistics.median(counts), max(counts)))
    return median if median == slowest else f"{median} ({slowest})"


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """Pad columns to equal widths, two spaces apart.

    Args:
        rows: the cells, row by row; all rows have the same number.

    >>> print(align_columns([["a", "bb"], ["ccc", "d"]]))
    a    bb
    ccc  d
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _entry(point: Point | None) -> str:
    # Compared as printed: "99.8 (99.8)" would be two numbers that look the same.
    if point is None:
        return "-"
    median, worst = percent(point.median), percent(point.worst)
    return median if median == worst else f"{median} ({worst})"


def english_table(rows: Sequence[Language]) -> str:
    """Print the perplexity of English text before and after training, the median over seeds, for each label."""
    lines = [["curve", "seeds", "perplexity before", "after", "a word before", "after"]]
    for label in dict.fromkeys(row.label for row in rows):
        own = [row for row in rows if row.label == label]
        sides = [[row for row in own if row.wording == wording] for wording in (BEFORE, AFTER)]
        token = [f"{statistics.median(row.perplexity_a_token for row in side):.4g}" for side in sides]
        word = [f"{statistics.median(row.perplexity_a_word for row in side):.4g}" for side in sides]
        lines.append([label, str(len(sides[0])), *token, *word])
    return (
        align_columns(lines) + f"\nOf a fixed English text of {rows[0].tokens} tokens: whether the model still speaks."
    )


def tables_of_language(rows: Sequence[Language]) -> list[str]:
    """The tables for which there are rows: of dialogue, and of English text."""
    kinds = [(language_table, [row for row in rows if not row.is_english])]
    kinds.append((english_table, [row for row in rows if row.is_english]))
    return [table(own) for table, own in kinds if own]


def language_table(rows: Sequence[Language]) -> str:
    """Print bits per character and perplexity per word, the median over seeds, for each label and wording."""
    lines = [["curve", "wording", "seeds", "bits a character", "perplexity a word"]]
    for label, wording in dict.fromkeys((row.label, row.wording) for row in rows):
        seeds = sorted((row for row in rows if (row.label, row.wording) == (label, wording)), key=lambda row: row.nats)
        # A whole row of one seed, so that both numbers belong together; of an even count the worse of the middle two.
        middle = seeds[len(seeds) // 2]
        numbers = [f"{middle.bits_a_character:.4f}", f"{middle.perplexity_a_word:.3f}"]
        lines.append([label, wording, str(len(seeds)), *numbers])
    return align_columns(lines) + "\nOf dialogue without its digits."
