"""Lets one process at a time write to a run folder."""

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
from arith.process.files import write_errors

NAME = "lock"
TRIES = 5  # 0.25 seconds in all: `in_use` holds a lock only for a moment


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; the folder is created if it does not exist.

    Args:
        folder: the run's folder.

    Raises:
        UsageError: another process holds the lock, or the folder cannot be written.
    """
    # flock, not a file whose presence is the lock: the kernel releases it when the process ends, SIGKILL and crashes
    # included, so no stale lock has to be removed by hand. On NFS, Linux turns flock into a lock at the server, so that
    # processes on several machines exclude one another, as under Slurm; on file systems mounted without locks it holds
    # on one machine only, or fails.
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, and a run is a folder. Choose another --out")
    is_new = not folder.exists()
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / NAME).open("a+", encoding="utf-8")
    with opened:
        if not _take(opened):
            opened.seek(0)
            raise UsageError(
                f"{folder} is in use by {opened.read().strip() or 'another process'}. "
                "Wait until it has ended, or choose another --out"
            )
        try:
            # Opened for appending, which empties nothing: only the holder may replace the name that the file holds.
            opened.truncate(0)
            # Past Python's buffer, which would be written again, and fail again, when the file is closed.
            with write_errors(folder):
                os.write(opened.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            yield
        finally:
            # The file of a run stays: removing it while another process has it open would let a third one lock a new
            # file of the same name. A folder that did not become a run is left without a trace.
            if not (folder / "run.json").is_file():
                (folder / NAME).unlink(missing_ok=True)
                if is_new and not any(folder.iterdir()):
                    folder.rmdir()


def _take(opened: TextIO) -> bool:
    for _ in range(TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)  # another process may only be asking whether the folder is in use
    return False


def in_use(folder: Path) -> bool:
    """Whether a process holds a folder's lock."""
    path = folder / NAME
    if not path.is_file():
        return False
    with path.open(encoding="utf-8") as opened:
        # A shared lock, as several processes may ask at once; closing the file releases it.
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
