"""One process on one run folder."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from arith.errors import UsageError

NAME = "lock"
TRIES = 5


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if it is not there.

    The system lets go of a lock when its process ends, however that happens, so none is left over.

    Raises:
        UsageError: another process holds it.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and a run is a folder. Choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / NAME).open("a+")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}. Choose another --out") from error
    with opened:
        if not _taken(opened):
            opened.seek(0)
            raise UsageError(
                f"{folder} is in use by {opened.read().strip() or 'another process'}. "
                "Wait until it has ended, or choose another --out"
            )
        opened.truncate(0)
        opened.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        opened.flush()
        try:
            yield
        finally:
            if not (folder / "run.json").is_file():
                (folder / NAME).unlink(missing_ok=True)  # it became no run


def _taken(opened: TextIO) -> bool:
    for _ in range(TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)  # whoever only looks has gone by then
    return False


def in_use(folder: Path) -> bool:
    """Whether a process holds a folder."""
    path = folder / NAME
    if not path.is_file():
        return False
    with path.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
