"""The file of predictions."""

from pathlib import Path

import pytest

from arith.errors import UsageError
from arith.results.predictions import Predictions


@pytest.mark.parametrize("text", ["", "{}", "[1]\n", "{\n", '{"predictions": 7}\n', '{"predictions": 1}\n', "\x00\xff"])
def test_foreign_files_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"p\.jsonl"):
        Predictions.load(path)
