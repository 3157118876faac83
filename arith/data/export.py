"""Writes problems to files for other tools: JSON lines, plain text, Parquet."""

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from arith.errors import UsageError
from arith.process.files import building
from arith.tasks import vocabulary
from arith.tasks.formats import Format
from arith.tasks.mixture import Mixture

CHUNK = 4096  # rows in memory, and in a row group of a Parquet file
ENDINGS = (".jsonl", ".txt", ".parquet")


def rows(data: Mixture, form: Format, names: Sequence[str], samples: int) -> Iterator[dict[str, Any]]:
    """Yield the first samples of a mixture, in order.

    Each row holds `prompt` and `answer` as they are written, `operands` and `result` as decimal strings with the most
    significant digit first, `task`, `format`, and `digits`, the length of the longest operand.

    Args:
        data: the mixture.
        form: the format in which numbers are written, but for sources that have one of their own.
        names: the task's name for each of the mixture's sources.
        samples: the number of samples.
    """
    forms = data.formats(form)
    for start in range(0, samples, CHUNK):
        # A mixture is drawn source by source, and put back into the order of its samples.
        chunk: dict[int, dict[str, Any]] = {}
        for which, problems, draws, decorating, places in data.parts(start, min(CHUNK, samples - start)):
            written = forms[which].write(data.sources[which].task, problems, draws, decorating)
            cuts = written.prompt_lengths
            for row, place in enumerate(places):
                chunk[int(place)] = {
                    "prompt": vocabulary.decode(written.tokens[row, : cuts[row]]),
                    "answer": vocabulary.decode(written.tokens[row, cuts[row] :]),
                    # Text, as JSON readers and Parquet columns hold integers of at most 64 bits.
                    "operands": [number.text(row) for number in problems.operands],
                    "result": problems.answer.text(row),
                    "task": names[which],
                    "format": str(forms[which]),
                    "digits": int(max(number.lengths[row] for number in problems.operands)),
                }
        yield from (chunk[place] for place in sorted(chunk))


def write(rows: Iterable[dict[str, Any]], out: str) -> None:
    """Write rows to a file in the format of its ending, or as JSON lines to stdout for `-`.

    The file is written atomically.

    Args:
        rows: the rows; see `rows`.
        out: the file's path, or `-`.

    Raises:
        UsageError: the ending is unknown, the folder is missing, or Parquet is not installed.
    """
    if out == "-":
        _write_lines(rows, sys.stdout, json.dumps)
        return
    path = Path(out)
    if path.suffix not in ENDINGS:
        raise UsageError(f"--out ends in {', '.join(ENDINGS)} or is -, got '{out}'")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    with building(path) as aside:
        if path.suffix == ".parquet":
            _write_parquet(rows, aside)
        else:
            with aside.open("w", encoding="utf-8") as opened:
                as_text = json.dumps if path.suffix == ".jsonl" else lambda row: row["prompt"] + row["answer"]
                _write_lines(rows, opened, as_text)


def _write_lines(rows: Iterable[dict[str, Any]], out: TextIO, as_text: Callable[[dict[str, Any]], str]) -> None:
    for row in rows:
        out.write(as_text(row) + "\n")


def _write_parquet(rows: Iterable[dict[str, Any]], path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError("Parquet files need pyarrow: pip install 'arith-toolkit[parquet]'") from error
    remaining = iter(rows)
    chunk = list(itertools.islice(remaining, CHUNK))
    # All rows have the columns of the first, and the writer needs them before it begins.
    schema = pyarrow.Table.from_pylist(chunk).schema
    with parquet.ParquetWriter(path, schema) as writer:
        while chunk:
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema))
            chunk = list(itertools.islice(remaining, CHUNK))
