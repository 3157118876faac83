"""Progress on stderr: a live bar on a terminal, a plain line every few seconds elsewhere."""

# On stderr, so that stdout holds results alone and can be piped.

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

QUIET = "ARITH_QUIET"  # set for processes that run side by side, whose lines would mix
PLAIN_INTERVAL = 5.0  # seconds: a log of an hour has 700 lines, and a user sees soon that something happens


class Progress(Protocol):
    """Shows how far a job is, and how much time is left."""

    def __enter__(self) -> "Progress": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, done: int, note: str = "") -> None: ...


def progress(title: str, total: int, done: int = 0, shown: bool = True) -> Progress:
    """Choose the kind of progress that suits where stderr goes.

    Args:
        title: the name of the job.
        total: the amount of work, in any unit.
        done: the part of it that an earlier process did.
        shown: whether to show anything.
    """
    if not shown or QUIET in os.environ:
        return Silent()
    return Live(title, total, done) if sys.stderr.isatty() else Plain(title, total, done)


def say(text: str) -> None:
    """Print one line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


class Silent:
    """Shows nothing, for all but the first of several processes."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def update(self, done: int, note: str = "") -> None:
        return


class Plain:
    """Prints a line every few seconds and one at the end, without carriage returns, for files and pipes.

    Args:
        title, total, done: see `progress`.
        clock: the time in seconds; monotonic, as the system's clock may be set while a training runs.
    """

    def __init__(self, title: str, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self.total, self.before, self.clock = title, total, done, clock
        self.began = self.printed = clock()

    def __enter__(self) -> "Plain":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def update(self, done: int, note: str = "") -> None:
        now = self.clock()
        if done < self.total and now - self.printed < PLAIN_INTERVAL:
            return
        self.printed = now
        elapsed = now - self.began
        # The speed of this process alone: what was done before took none of its time.
        here = done - self.before
        left = elapsed / here * (self.total - done) if here else 0.0
        say(f"{self.title} {done}/{self.total} {elapsed:.0f} s, {left:.0f} s left {note}".rstrip())


class Live:
    """Shows a bar with the time left."""

    def __init__(self, title: str, total: int, done: int = 0) -> None:
        # Imported here: most commands show no bar, and need not wait for rich.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        rest = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self._bar = Bar(*columns, *rest, console=Console(stderr=True))
        self._task = self._bar.add_task(title, total=total, completed=done, note="")

    def __enter__(self) -> "Live":
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)

    def update(self, done: int, note: str = "") -> None:
        self._bar.update(self._task, completed=done, note=note)
