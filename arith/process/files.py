"""Writes files so that a reader finds the old content or the new, never a part."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from arith.errors import RunError, UsageError

BUILDING = "building"  # in the names of unfinished files, by which left-over ones are found


def write_whole(path: Path, text: str) -> None:
    """Replace a file's content atomically.

    Args:
        path: the file; its folder exists.
        text: the new content.
    """
    with building(path) as aside:
        aside.write_text(text, encoding="utf-8")


def append_whole(path: Path, text: str) -> None:
    """Add lines to a file, all or none of them.

    Args:
        path: the file, which is created if it is not there.
        text: the lines.

    Raises:
        OSError: they cannot be written, and the file is as it was.
    """
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        os.truncate(path, before)  # a full disk would leave half a line
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """Write a file or a folder under a temporary name, which this yields, and rename it to `path` at the end.

    If anything is raised inside, the unfinished file or folder is removed and `path` stays as it was. A device or a
    pipe, such as /dev/null, is written to itself.

    Args:
        path: the final name.

    Raises:
        OSError: it cannot be written, or is a folder where a file is built; named by its final name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     final = Path(folder) / "notes.txt"
    ...     with building(final) as aside:
    ...         _ = aside.write_text("done")
    ...         too_early = final.exists()
    ...     too_early, final.read_text()
    (False, 'done')
    """
    # Beside the final name, not in /tmp: a rename is atomic only within one file system. It begins with a dot, so that
    # globs such as "step-*" never find it.
    #
    # A rename protects from a killed process, which is the common case. A power cut needs more: fsync of the contents
    # before the rename and of the folder after it, or the new name may point to data that never reached the disk.
    # Checkpoints do that; results can be made again from them, and fsync is slow on shared file systems.
    aside = path.with_name(f".{path.name}.{BUILDING}-{os.getpid()}")
    before = aside.with_name(f"{aside.name}-before")
    # A file renamed over a device would replace it for the whole machine, where the user may do that.
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    # Process numbers are reused: a killed process may have left files under this one's.
    _discard(aside, before)
    try:
        yield aside
        # A file is replaced in one step. A folder that holds something cannot be, so it first makes way.
        # In that moment neither is there; a process that is killed then leaves the old one under `before`.
        if path.is_dir():
            # A folder makes way for a new version of itself only: whatever else is in it would be lost.
            if not aside.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            path.rename(before)
        aside.replace(path)
    except SafetensorError as error:
        # safetensors reports a full disk as an error of its own, which is no OSError.
        raise OSError(errno.EIO, str(error), str(path)) from error
    except OSError as error:
        # Under the name that the user knows. A write that fails names no file at all, and pyarrow gives a text alone.
        if error.filename in (None, str(aside)):
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error
        raise
    finally:
        if before.exists() and not path.exists():
            before.rename(path)
        _discard(aside, before)


def _discard(*paths: Path) -> None:
    for path in paths:
        # A link to a folder is removed as a link, and what it points to stays.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_misnamed(error: OSError) -> bool:
    """Whether a file's name is the mistake, not the state of the machine.

    >>> is_misnamed(IsADirectoryError()), is_misnamed(OSError(errno.ENOSPC, "No space left on device"))
    (True, False)
    """
    wrong = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
    return isinstance(error, wrong) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


@contextmanager
def write_errors(place: Path) -> Iterator[None]:
    """Turn what the system refuses inside into words that name the place.

    Args:
        place: the file or folder that is written, as the user named it.

    Raises:
        UsageError: its name is the mistake.
        RunError: anything else failed, such as a full disk.
    """
    try:
        yield
    except OSError as error:
        kind = UsageError if is_misnamed(error) else RunError
        raise kind(f"{place} cannot be written: {error.strerror or error}. Choose another --out") from error


@contextmanager
def disk_errors(what: str, hint: str) -> Iterator[None]:
    """Turn failures to write inside into a RunError that says what to do.

    Args:
        what: the name of what is written, for the message.
        hint: the command that resumes.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"{what} could not be written: {reason}. Make room, then resume with: {hint}") from error


def step_folders(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest first; folders with other names are ignored."""
    # The eight digits make the order of names that of steps.
    return sorted((path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name)), reverse=True)


def as_file_name(text: str) -> str:
    """Turn a label into a file name: letters, digits and "-@+." stay, anything else becomes a dash.

    >>> as_file_name("rope, learning rate 0.001")
    'rope--learning-rate-0.001'
    """
    # Cut, as most file systems allow 255 bytes, and endings and the temporary name's parts are added.
    return "".join(character if character.isalnum() or character in "-@+." else "-" for character in text)[:120]
