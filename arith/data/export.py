"""Problems as files for other tools: JSON lines, plain text, Parquet."""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from arith.errors import UsageError
from arith.process.files import building
from arith.tasks import vocabulary
from arith.tasks.formats import Format
from arith.tasks.mixture import Mixture

CHUNK = 4096  # rows in memory
ENDINGS = (".jsonl", ".txt", ".parquet")


def rows(data: Mixture, form: Format, names: Sequence[str], samples: int) -> Iterator[dict[str, Any]]:
    """The first samples, one after the other.

    Each row holds `prompt` and `answer` as they are written, `operands` and `result` as decimal strings, most
    significant digit first, `task`, `format`, and `digits` of the longest operand.

    Args:
        names: of the sources' tasks.
    """
    for start in range(0, samples, CHUNK):
        found: dict[int, dict[str, Any]] = {}
        for which, problems, draws, places in data.parts(start, min(CHUNK, samples - start)):
            written = form.write(data.sources[which].task, problems, draws)
            cuts = written.prompt_lengths
            for row, place in enumerate(places):
                found[int(place)] = {
                    "prompt": vocabulary.decode(written.tokens[row, : cuts[row]]),
                    "answer": vocabulary.decode(written.tokens[row, cuts[row] :]),
                    "operands": [number.text(row) for number in problems.operands],
                    "result": problems.answer.text(row),
                    "task": names[which],
                    "format": str(form),
                    "digits": int(max(number.lengths[row] for number in problems.operands)),
                }
        yield from (found[place] for place in sorted(found))


def write(found: Iterable[dict[str, Any]], out: str) -> None:
    """Write rows to a file, whose ending says how, or as JSON lines to stdout for `-`. A file is whole or not there."""
    if out == "-":
        _lines(found, sys.stdout, json.dumps)
        return
    path = Path(out)
    if path.suffix not in ENDINGS:
        raise UsageError(f"--out ends in {', '.join(ENDINGS)} or is -, got '{out}'")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    with building(path) as aside:
        if path.suffix == ".parquet":
            _parquet(found, aside)
        else:
            with aside.open("w", encoding="utf-8") as opened:
                _lines(
                    found, opened, json.dumps if path.suffix == ".jsonl" else lambda row: row["prompt"] + row["answer"]
                )


def _lines(found: Iterable[dict[str, Any]], out: TextIO, line: Any) -> None:
    for row in found:
        out.write(line(row) + "\n")


def _parquet(found: Iterable[dict[str, Any]], path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError("Parquet files need pyarrow: pip install 'arith-toolkit[parquet]'") from error
    remaining = iter(found)
    first = list(itertools.islice(remaining, CHUNK))
    schema = pyarrow.Table.from_pylist(first).schema
    with parquet.ParquetWriter(path, schema) as writer:
        while first:
            writer.write_table(pyarrow.Table.from_pylist(first, schema))
            first = list(itertools.islice(remaining, CHUNK))
