"""Ctrl-C and SIGTERM: the step in hand is finished, then the run is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# How a parent asks the processes of its runs to save and end. Asked again and again, they do no other than once.
STOP = signal.SIGUSR1


class Interrupted(Exception):  # noqa: N818  it is no error
    """A signal asked to stop. `hint` says how to go on."""

    def __init__(self, hint: str) -> None:
        super().__init__(hint)
        self.hint = hint


class Flag:
    """Set once a signal has come. A second Ctrl-C or SIGTERM stops at once."""

    def __init__(self) -> None:
        self.raised = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.raised and number != STOP:
            raise KeyboardInterrupt
        self.raised = True


@contextmanager
def catch_interrupts() -> Iterator[Flag]:
    """Within, signals set the flag that is yielded; after, they do what they did before.

    Within another of these it yields the outer flag, so that a signal between two parts of a command is not lost.
    Signals that the process ignores, or that somebody else handles, such as a scheduler, are left alone.
    """
    outer = getattr(signal.getsignal(STOP), "__self__", None)
    if isinstance(outer, Flag):
        yield outer
        return
    flag = Flag()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, STOP)}
    ours = {number for number, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)}
    for number in ours | {STOP}:
        signal.signal(number, flag.handle)
    try:
        yield flag
    finally:
        for number in ours | {STOP}:
            signal.signal(number, before[number])


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Within, a SIGTERM acts as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def leave_to_parent() -> None:
    """In a process that works for another: only the parent's own signal asks it to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(STOP, lambda *_: None)  # between runs there is nothing to stop
