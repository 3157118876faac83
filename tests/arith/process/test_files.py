"""Files and folders that are whole or what they were before."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from arith.process.files import append_whole, building, write_whole


def tree(folder: Path) -> dict[str, str]:
    """The text of every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write(path: Path, text: str, as_folder: bool) -> None:
    if as_folder:
        path.mkdir()
        path = path / "inside"
    path.write_text(text)


def build(target: Path, text: str, as_folder: bool, error: type[BaseException] | None = None) -> Path:
    """Replace a file or folder, or be stopped when half of it is written."""
    with building(target) as aside:
        write(aside, text, as_folder)
        if error is not None:
            raise error
    return aside


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_what_is_built_takes_the_place_of_what_was_there(tmp_path: Path, as_folder: bool, there: bool) -> None:
    target = tmp_path / "target"
    if there:
        write(target, "old", as_folder)
        if as_folder:
            (target / "more").write_text("old")
    before = tree(tmp_path)
    with building(target) as aside:
        assert aside.parent == tmp_path, "another file system could not be renamed from"
        write(aside, "new", as_folder)
        assert {name: text for name, text in tree(tmp_path).items() if name.startswith("target")} == before
    assert tree(tmp_path) == {"target/inside" if as_folder else "target": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_is_interrupted_leaves_things_as_they_were(
    tmp_path: Path, as_folder: bool, there: bool, error: type[BaseException]
) -> None:
    target = tmp_path / "target"
    if there:
        write(target, "old", as_folder)
    before = tree(tmp_path)
    with pytest.raises(error):
        build(target, "half", as_folder, error)
    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["target"] if there else [])


def test_a_folder_that_made_way_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    write(target, "old", as_folder=True)

    def interrupted(path: Path, to: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(target, "new", as_folder=True)
    assert tree(tmp_path) == {"target/inside": "old"}


def test_what_a_killed_process_left_does_not_get_in(tmp_path: Path) -> None:
    left = build(tmp_path / "target", "old", as_folder=True)
    write(left, "left", as_folder=True)
    (left / "more").write_text("left")
    assert build(tmp_path / "target", "new", as_folder=True) == left, "one process, one name"
    assert tree(tmp_path) == {"target/inside": "new"}


def test_a_text_is_replaced_at_once(tmp_path: Path) -> None:
    write_whole(tmp_path / "text", "one")
    write_whole(tmp_path / "text", "two")
    assert tree(tmp_path) == {"text": "two"}


def test_a_file_takes_no_folders_place(tmp_path: Path) -> None:
    target = tmp_path / "target"
    write(target, "mine", as_folder=True)
    with pytest.raises(IsADirectoryError, match="target"):
        write_whole(target, "new")
    assert tree(tmp_path) == {"target/inside": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_pipe_or_device_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        write_whole(pipe, "text")
        assert os.read(reader, 9) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo(), "a file in the place of /dev/null would be there for the whole machine"


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files end at 100 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("full_disk")
def test_an_error_names_the_file_that_the_user_knows(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large") as raised:
        write_whole(tmp_path / "text", "x" * 200)
    assert raised.value.filename == str(tmp_path / "text")
    with pytest.raises(OSError, match="File too large"), building(tmp_path / "weights") as aside:
        save_file({"weights": numpy.zeros(200)}, aside)
    with pytest.raises(FileNotFoundError) as raised:
        write_whole(tmp_path / "missing" / "text", "x")
    assert raised.value.filename == str(tmp_path / "missing" / "text")
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("full_disk")
def test_lines_are_added_whole_or_not_at_all(tmp_path: Path) -> None:
    append_whole(tmp_path / "lines", "one\n")
    with pytest.raises(OSError, match="File too large"):
        append_whole(tmp_path / "lines", "two\n" + "x" * 200 + "\n")
    assert tree(tmp_path) == {"lines": "one\n"}
