"""Files that people hand in, read or refused in words."""

from pathlib import Path

import pytest

from arith.errors import UsageError
from arith.process.reading import read_json, read_toml


@pytest.mark.parametrize("content", [b"x = " + b"1" * 5000, b"x = " + b"[" * 5000, b"\xff\xfex", b"\x00", b"x"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UsageError, match=r"is no (TOML|text)"):
        read_toml(tmp_path / "file")


@pytest.mark.parametrize("content", [b"1" * 5000, b"[" * 100_000, b"\xff\xfex", b"\x00", b""])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UsageError, match=r"is no (JSON|text)"):
        read_json(tmp_path / "file")
