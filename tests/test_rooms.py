"""The rooms of `arith/` and the imports between them, those inside functions too."""

import ast
import configparser
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "arith"
FOLDERS = {"encodings", "tasks", "kernels"}
# For every room the rooms that its files may import; `errors` anyone may. CONTRIBUTING.md says what lives where.
ROOMS: dict[str, set[str]] = {
    "process": set(),
    "catalogue": {"encodings", "tasks"},
    "results": {"process", "tasks"},
    "config": {"process", "results"},
    "figures": {"process", "results"},
    "report": {"process", "results", "figures"},
    "studies": {"process", "results", "config", "figures"},
    "data": {"process", "catalogue", "results", "config"} | FOLDERS,
    "model": {"config", "data"} | FOLDERS,
    "gallery": {"process", "catalogue", "figures", "data"} | FOLDERS,
    "experiment": {"process", "catalogue", "results", "config", "data", "model"} | FOLDERS,
}
ROOMS["evaluation"] = ROOMS["experiment"] | {"experiment"}
ROOMS["play"] = ROOMS["evaluation"] | {"evaluation"}
ROOMS["training"] = ROOMS["evaluation"] | {"evaluation"}
ROOMS["performance"] = ROOMS["training"] | {"training", "figures"}
ROOMS["sweeps"] = ROOMS["performance"] | {"performance"}
ROOMS["hf"] = ROOMS["evaluation"] | {"evaluation"}
ROOMS["eject"] = {"process", "catalogue"} | FOLDERS
ROOMS["harness"] = {"catalogue", "config", "evaluation", "experiment", "hf"}
ROOMS["cli"] = {*ROOMS, "figures", "gallery"} | FOLDERS


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of whatever a file imports of arith, wherever in the file; `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.startswith("arith."))


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in imports(path):
        if (PACKAGE / (room := name.split(".")[1])).is_dir():
            yield line, room


def dotted(path: Path) -> str:
    return ".".join(("arith", *path.relative_to(PACKAGE).parts))


def files_of(folder: Path) -> list[Path]:
    """The package's files under a folder; `rglob` does not follow the links to the three folders by itself."""
    linked = [path for part in sorted(FOLDERS) for path in (PACKAGE / part).glob("*.py")] if folder == PACKAGE else []
    return sorted({*folder.rglob("*.py"), *linked})


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_table_allows(room: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {imported}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for line, imported in rooms_imported(path)
        if imported not in ROOMS[room] | {room}
    ]
    assert not wrong, f"{room} may import {sorted(ROOMS[room])}:\n  " + "\n  ".join(wrong)


def test_no_file_imports_itself_by_way_of_others() -> None:
    modules = {dotted(path.with_suffix("")): path for path in files_of(PACKAGE)}
    # `from arith.data.batch import Batch` names the file one dot further up; what a package exports is its __init__.
    graph = {
        module: {own for _, name in imports(path) for own in (name, name.rpartition(".")[0]) if own in modules}
        for module, path in modules.items()
    }
    assert sum(map(len, graph.values())) > 500
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(f"each imports the one before it: {', '.join(circle.args[1])}")


def allowed_in_words(docstring: str) -> set[str]:
    """What the last sentences of a room's docstring allow it to import."""
    words = " ".join(docstring.partition("May import ")[2].split()).partition("never")[0]
    named = set(re.findall(r"`(\w+)`", words))
    if re.search(r"rooms below|what `\w+` may", words):
        named |= {below for room in named & set(ROOMS) for below in ROOMS[room]}
    return named | (FOLDERS if "the three folders" in words else set())


@pytest.mark.parametrize("file", sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.glob("*/**/__init__.py")))
def test_docstrings_of_rooms_say_what_the_table_says(file: str) -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / file).read_text())) or ""
    room, *inner = Path(file).parent.parts
    # The two rooms at the top may import nearly all, and their docstrings say what they are for.
    assert "May import" in docstring or room in {"cli", "harness"}
    if "May import" in docstring:
        # A room inside a room may import the outer one, and what that one may.
        assert allowed_in_words(docstring) - ({room} if inner else set()) == ROOMS[room]


def test_every_package_is_in_the_wheel() -> None:
    setup = configparser.ConfigParser()
    setup.read(PACKAGE.parent / "setup.cfg")
    folders = {path.parent for path in files_of(PACKAGE)} | {PACKAGE / name for name in ("recipes", "shipped")}
    # Models that come along are data of arith.shipped; the code beside their weights is for Hugging Face alone.
    packages = {folder for folder in folders if folder.parent != PACKAGE / "shipped"}
    assert set(setup["options"]["packages"].split()) == {dotted(folder) for folder in packages}


def test_every_folder_with_code_is_a_room_of_the_table() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py") if not path.parent.is_symlink()}
    assert folders == set(ROOMS)


def test_rooms_stand_in_an_order_in_which_imports_only_go_down() -> None:
    order: list[str] = [*FOLDERS]
    for room, below in ROOMS.items():
        assert below <= set(order), f"{room} imports {below - set(order)}, which stand above it"
        order.append(room)


# Tests that look at all files of their folder at once; any other is named for the file that it tests.
OF_MANY_FILES = {
    "arith/evaluation/test_watch.py": "watched lengths, from a setting to the figure",
    "arith/catalogue/test_ranges.py": "the numbers of every setting in the catalogue",
    "arith/play/test_page.py": "page.html and its styles and scripts, in a browser",
    "encodings/test_encodings.py": "properties that every encoding of the catalogue has",
    "encodings/test_learning.py": "every encoding learns something",
    "encodings/test_content.py": "five encodings whose scores depend on the content, against their peers",
    "encodings/test_inputs.py": "what acts at the input draws from no generator and has no limit",
    "encodings/test_rotations.py": "what all rotations have in common",
    "tasks/test_representations.py": "every task in every format",
    "kernels/test_benchmark.py": "the checks in benchmarks/kernel_checks",
    "kernels/test_models.py": "whole models through the fused kernels",
    "kernels/test_oldest_triton.py": "all kernels with the oldest supported Triton",
    "kernels/test_resources.py": "what all kernels take once they are compiled",
}


@pytest.mark.parametrize("folder", ["arith", *sorted(FOLDERS)])
def test_tests_mirror_the_files_that_they_test(folder: str) -> None:
    tests = PACKAGE.parent / "tests"
    for path in sorted((tests / folder).rglob("test_*.py")):
        name = path.relative_to(tests)
        tested = PACKAGE.parent / name.with_name(path.name.removeprefix("test_"))
        if path.parent == tests / "arith":
            assert "every room" in (ast.get_docstring(ast.parse(path.read_text())) or ""), f"{name} is of no room"
        elif not tested.exists():
            assert name.as_posix() in OF_MANY_FILES, f"{name} is named for no file: there is no {tested.name}"


def test_exceptions_to_the_mirror_are_there() -> None:
    assert not [name for name in OF_MANY_FILES if not (PACKAGE.parent / "tests" / name).exists()]


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "cli"])
def test_a_folder_is_read_at_a_glance(room: str) -> None:
    for folder in [PACKAGE / room, *(path for path in (PACKAGE / room).rglob("*") if path.is_dir())]:
        files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= 12, f"{folder.name} has {len(files)} files"
