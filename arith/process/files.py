"""Files that are whole or what they were before."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from arith.errors import RunError

BUILDING = "building"


def write_whole(path: Path, text: str) -> None:
    """Replace a file's content at once."""
    with building(path) as aside:
        aside.write_text(text)


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """Write a file or a folder aside, at the path that this yields, and put it in the place of `path` at the end.

    If anything is raised before that, what was written is removed, and `path` is left as it was.
    """
    aside = path.with_name(f".{path.name}.{BUILDING}-{os.getpid()}")
    before = aside.with_name(f"{aside.name}-before")
    # Process numbers come again: what a killed process left may bear this one's.
    _discard(aside, before)
    try:
        yield aside
        # A file is replaced in one step. A folder that holds something cannot be, so it first makes way.
        if path.is_dir():
            path.rename(before)
        aside.replace(path)
    except BaseException:
        if before.exists() and not path.exists():
            before.rename(path)
        raise
    finally:
        _discard(aside, before)


def _discard(*paths: Path) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def disk_errors(what: str, hint: str) -> Iterator[None]:
    """Within, what cannot be written ends in words.

    Args:
        what: is written.
        hint: what to do then.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"{what} could not be written: {reason}. Make room, then go on with: {hint}") from error


def step_folders(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest first; folders of other names are not ours."""
    return sorted((path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name)), reverse=True)


def as_file_name(text: str) -> str:
    """
    >>> as_file_name("rope, learning rate 0.001")
    'rope--learning-rate-0.001'
    """
    return "".join(character if character.isalnum() or character in "-@+." else "-" for character in text)[:120]
