"""Files that are whole or what they were before."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from arith.errors import RunError

BUILDING = "building"


def write_whole(path: Path, text: str) -> None:
    """Replace a file's content at once."""
    building = path.with_name(f".{path.name}.{BUILDING}-{os.getpid()}")
    try:
        building.write_text(text)
        building.replace(path)
    finally:
        building.unlink(missing_ok=True)


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
