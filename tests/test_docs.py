"""What CONTRIBUTING.md and docs/architecture.md point at is there, and the table of rooms is the one that is held."""

import re
import subprocess
from pathlib import Path

import pytest

from arith.config import recipe
from tests.test_rooms import FOLDERS, ROOMS

PAGES = {"CONTRIBUTING.md": 20, "docs/architecture.md": 20, "docs/adding.md": 8}


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(root: Path, page: str) -> None:
    named = set(
        re.findall(r"`((?:arith|encodings|tasks|kernels|tests|benchmarks)/[\w/.]+\.\w+)`", (root / page).read_text())
    )
    assert len(named) > PAGES[page]
    assert not {name for name in named if not (root / name).is_file()}


def test_the_table_of_rooms_is_the_one_that_is_held(root: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", (root / "CONTRIBUTING.md").read_text(), re.M)
    assert [room for room, _ in rows] == list(ROOMS)
    above: set[str] = set(FOLDERS)
    for room, words in rows:
        allowed = set(re.findall(r"`(\w+)`", words))
        if "and what" in words:  # it may, or they may
            allowed |= {below for other in allowed for below in ROOMS[other]}
        if "the three folders" in words:
            allowed |= FOLDERS
        assert (above if words == "all" else allowed) == ROOMS[room], room
        above.add(room)


def test_folders_of_the_tree_are_there_and_none_is_left_out(root: Path) -> None:
    (tree,) = re.findall(r"```\n(arith/.*?)```", (root / "docs" / "architecture.md").read_text(), re.S)
    rooms = {name for line in tree.splitlines() if line.startswith(" ") for name in re.findall(r"(\w+)/ ", line)}
    folders = set(re.findall(r"^(\w+)/", tree, re.M))
    assert all((root / "arith" / room).is_dir() for room in rooms)
    assert rooms == set(ROOMS) | {"recipes", "shipped"}
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    there = {line.partition("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")}
    assert folders == there


def test_every_result_is_made_by_a_recipe_or_a_benchmark(root: Path) -> None:
    """A file that a test once published by mistake stood among the results for days."""
    programs = "".join(path.read_text() for path in (root / "benchmarks").rglob("*.py"))
    made = {path.stem for path in (root / "results").glob("*.json")}
    assert not {name for name in made - set(recipe.names()) if f"{name}.json" not in programs}
