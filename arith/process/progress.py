"""Progress on stderr: a live bar on a terminal, a plain line every few seconds elsewhere."""

# On stderr, so that stdout holds results alone and can be piped.

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Protocol, TypeVar

QUIET = "ARITH_QUIET"  # set for processes that run side by side, whose lines would mix
PLAIN_FIRST = 1.0  # seconds until the first line: nobody waits longer without wondering
PLAIN_INTERVAL = 5.0  # seconds between lines: a log of an hour has 700

Item = TypeVar("Item")


class Progress(Protocol):
    """Shows how far a job is, and how much time is left."""

    def __enter__(self) -> "Progress": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, done: int, note: str = "") -> None: ...


def progress(title: str, total: int, done: int = 0, shown: bool = True, brief: bool = False) -> Progress:
    """Choose the kind of progress that suits where stderr goes.

    Args:
        title: the name of the job.
        total: the amount of work, in any unit.
        done: the part of it that an earlier process did.
        shown: whether to show anything.
        brief: whether a job that ends within the first second is not worth a line.
    """
    if not shown or QUIET in os.environ:
        return Silent()
    return Live(title, total, done, brief) if sys.stderr.isatty() else Plain(title, total, done, brief)


def track(items: Iterable[Item], title: str, total: int) -> Iterator[Item]:
    """Yield items, and show how many have been dealt with if that takes more than a second."""
    with progress(title, total, brief=True) as shown:
        for number, item in enumerate(items, 1):
            yield item
            shown.update(number)


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
    """Prints a line after a second, then every few, and one at the end, without carriage returns, for files and pipes.

    Args:
        title, total, done, brief: see `progress`.
        clock: the time in seconds; monotonic, as the system's clock may be set while a training runs.
    """

    def __init__(
        self,
        title: str,
        total: int,
        done: int = 0,
        brief: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.total, self.before, self.brief, self.clock = title, total, done, brief, clock
        self.done, self.note = done, ""
        self.began = clock()
        self.printed: float | None = None
        self._ended = threading.Event()

    def __enter__(self) -> "Plain":
        # A thread, as what works may not report for a minute: a long prompt in one pass, say.
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def update(self, done: int, note: str = "") -> None:
        self.done, self.note = done, note
        if done >= self.total and (self.printed is not None or not self.brief):
            self._print(self.clock())
        else:
            self._print_if_due()

    def _watch(self) -> None:
        while not self._ended.wait(PLAIN_FIRST):
            self._print_if_due()

    def _print_if_due(self) -> None:
        now = self.clock()
        if now - self.began >= PLAIN_FIRST if self.printed is None else now - self.printed >= PLAIN_INTERVAL:
            self._print(now)

    def _print(self, now: float) -> None:
        self.printed = now
        elapsed = now - self.began
        # The speed of this process alone: what was done before took none of its time.
        here = self.done - self.before
        left = f", {elapsed / here * (self.total - self.done):.0f} s left" if here else ""
        say(f"{self.title} {self.done}/{self.total} {elapsed:.0f} s{left} {self.note}".rstrip())


class Live:
    """Shows a bar with the time left.

    Args:
        title, total, done, brief: see `progress`.
    """

    def __init__(self, title: str, total: int, done: int = 0, brief: bool = False) -> None:
        # Imported here: most commands show no bar, and need not wait for rich.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        rest = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self._bar = Bar(*columns, *rest, console=Console(stderr=True))
        self._task = self._bar.add_task(title, total=total, completed=done, note="")

        # A brief job has no bar, unless it turns out to be none.
        self._timer = threading.Timer(PLAIN_FIRST if brief else 0.0, self._bar.start)
        self._timer.daemon = True

    def __enter__(self) -> "Live":
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        if self._bar.live.is_started:
            self._bar.stop()

    def update(self, done: int, note: str = "") -> None:
        self._bar.update(self._task, completed=done, note=note)
