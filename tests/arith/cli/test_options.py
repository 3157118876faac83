"""Settings on the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.cli.options import read_assignment


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 5000, "1\nother = 2", "x y", ""])
def test_what_is_no_toml_is_a_text(value: str) -> None:
    assert read_assignment(f"name={value}") == ("name", value)


@pytest.mark.parametrize("name", ["x\\u0000.py", "x\\udfff.py"])
def test_a_name_that_no_file_can_have_is_refused(arith: Callable[..., Result], tmp_path: Path, name: str) -> None:
    (tmp_path / "one.toml").write_text(f'imports = ["{name}"]')
    refused = arith("train", "--recipe", "one.toml", "--dry-run")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: ")
