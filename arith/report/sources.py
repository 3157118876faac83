"""What a report is made from: the files of a run's folder, results files and predictions files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from arith.errors import UsageError
from arith.figures.training import Training, read_training
from arith.process.reading import read_json
from arith.results.cell_key import CellKey
from arith.results.schema import METRICS, Cell, Results


@dataclass(frozen=True)
class Source:
    """One argument of the command.

    Args:
        name: the last part of its path.
        folder: the folder of a run, or of an exported model; None for a file.
        results: what was measured; of a folder, its own tests and what `arith evaluate` added.
        training: the metrics, where a run has them.
        record: what run.json holds.
        predictions: files with the answers to each problem, where they were kept.
        renamed: by label of the files, the label here, where they differ.
        unused: cells that were measured with other settings of the test, and are not drawn.
    """

    name: str
    folder: Path | None
    results: Results
    training: Training | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    predictions: tuple[Path, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    unused: int = 0


def read_source(place: Path) -> Source:
    """Read a run's folder, a results file, or a predictions file.

    Raises:
        UsageError: it is not there, or none of these.
    """
    if place.is_dir():
        return _read_folder(place)
    if place.suffix == ".jsonl":
        return Source(place.stem, None, Results(()), predictions=(place,))
    return Source(place.stem, None, Results.load(place))


def _read_folder(folder: Path) -> Source:
    own, added = (folder / name for name in ("results.json", "evaluation.json"))
    metrics, described = folder / METRICS, folder / "run.json"
    if not any(path.is_file() for path in (own, added, metrics, described)):
        raise UsageError(f"{folder} holds no run: no results.json, evaluation.json, {METRICS} or run.json")
    first, second = (Results.load(path) if path.is_file() else Results(()) for path in (own, added))
    merged, unused = merge_cells(first.cells, second.cells)
    return Source(
        folder.resolve().name,
        folder,
        replace(
            first,
            cells=merged,
            about=first.about or second.about,
            anatomy=second.anatomy or first.anatomy,
            language=first.language or second.language,
        ),
        read_training(metrics) if metrics.is_file() and metrics.stat().st_size else None,
        read_json(described) if described.is_file() else {},
        tuple(_find_predictions(folder)),
        unused=unused,
    )


def merge_cells(own: Sequence[Cell], added: Sequence[Cell]) -> tuple[tuple[Cell, ...], int]:
    """The cells of a run's own tests, and of those of a later evaluation what the run had not tested.

    Returns:
        The cells, and how many were left out since the model was tested in another way, such as with more loops.
    """
    there = {_place(cell) for cell in own}
    models = {CellKey.of(cell).training for cell in own}
    new = [cell for cell in added if _place(cell) not in there]
    alike = [cell for cell in new if not models or CellKey.of(cell).training in models]
    return (*own, *alike), len(new) - len(alike)


def _place(cell: Cell) -> tuple[object, ...]:
    """Where a cell stands in a figure, whatever the seed and size of its test."""
    seeds = cell.model_seed, cell.data_seed
    return cell.label, cell.suite, cell.digits, cell.operand_lengths, seeds, CellKey.of(cell).training


def _find_predictions(folder: Path) -> Iterator[Path]:
    """Files of a folder whose first line says that they hold predictions; their name is the user's choice."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as opened:
            line = opened.readline(2**16)
        try:
            header = json.loads(line)
        except ValueError:
            continue
        if isinstance(header, dict) and "predictions" in header:
            yield path


def name_apart(sources: Sequence[Source]) -> list[Source]:
    """The sources with labels that none shares with another: of those that do, with the source's name behind."""
    labels = [{cell.label for cell in source.results.cells} for source in sources]
    named = []
    for place, source in enumerate(sources):
        others = set().union(*(own for at, own in enumerate(labels) if at != place))
        names = {label: f"{label} ({source.name})" for label in labels[place] & others}
        results = replace(
            source.results,
            cells=tuple(replace(cell, label=names.get(cell.label, cell.label)) for cell in source.results.cells),
            anatomy=tuple(replace(part, label=names.get(part.label, part.label)) for part in source.results.anatomy),
        )
        named.append(replace(source, results=results, renamed=names))
    return named
