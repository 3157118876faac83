"""What CONTRIBUTING.md and docs/architecture.md point at is there, and the table of rooms is the one that is held."""

import re
from pathlib import Path

import pytest

from tests.test_rooms import ROOMS


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_a_page_names_are_there(root: Path, page: str) -> None:
    named = set(
        re.findall(r"`((?:arith|encodings|tasks|kernels|tests|benchmarks)/[\w/.]+\.\w+)`", (root / page).read_text())
    )
    assert len(named) > 15
    assert not {name for name in named if not (root / name).is_file()}


def test_the_table_of_rooms_names_every_room(root: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (root / "CONTRIBUTING.md").read_text(), re.M)
    assert rows == [room for room in ROOMS if room != "harness"]
