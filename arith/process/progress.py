"""What a command shows while it works: one live line on a terminal, a plain line now and then elsewhere. On stderr."""

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

QUIET = "ARITH_QUIET"  # set in processes that work side by side
PLAIN_INTERVAL = 5.0  # seconds between plain lines


class Progress(Protocol):
    """Shows how far something is, and what is left."""

    def __enter__(self) -> "Progress": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, done: int, note: str = "") -> None: ...


def progress(title: str, total: int, done: int = 0, shown: bool = True) -> Progress:
    """The right one for where stderr goes. `done`: what was done before, in an earlier sitting."""
    if not shown or QUIET in os.environ:
        return Silent()
    return Live(title, total, done) if sys.stderr.isatty() else Plain(title, total, done)


def say(text: str) -> None:
    """One line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


class Silent:
    """Nothing, for all but the first of several processes."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def update(self, done: int, note: str = "") -> None:
        return


class Plain:
    """A line each few seconds and one at the end, without carriage returns, for files and pipes."""

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
        here = done - self.before
        left = elapsed / here * (self.total - done) if here else 0.0
        say(f"{self.title} {done}/{self.total} {elapsed:.0f} s, {left:.0f} s left {note}".rstrip())


class Live:
    """A bar with the time left."""

    def __init__(self, title: str, total: int, done: int = 0) -> None:
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
