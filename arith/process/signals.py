"""Ctrl-C and SIGTERM: the current step is finished, then the run is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# How a parent asks the processes of its runs to save and end. A signal of its own: Ctrl-C reaches every process of the
# terminal's group, and a parent that passed it on would send each run a second one, which means "stop at once".
STOP = signal.SIGUSR1


class Interrupted(Exception):  # noqa: N818  it is no error
    """A signal asked to stop, and everything is saved.

    Args:
        hint: the command that resumes.
    """

    def __init__(self, hint: str) -> None:
        super().__init__(hint)
        self.hint = hint


class Flag:
    """A flag that a signal raises. A second Ctrl-C or SIGTERM stops at once; a parent's STOP never does."""

    def __init__(self) -> None:
        self.raised = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise the flag; the loop looks at it between two steps."""
        # Nothing is saved here: a handler interrupts any line, and the weights may be halfway through an update.
        if self.raised and number != STOP:
            raise KeyboardInterrupt
        self.raised = True


@contextmanager
def catch_interrupts() -> Iterator[Flag]:
    """Let signals raise the flag that this yields; afterwards they act as before.

    Inside another `catch_interrupts` it yields the outer flag, so that a signal between two parts of a command is not
    lost. Signals that the process ignores, or that another library handles, are left alone.
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
    """Let a SIGTERM act as Ctrl-C inside."""
    # Schedulers and containers send it to end a job; by default Python would end without running a `finally`.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def leave_to_parent() -> None:
    """Make this process stop only when its parent asks, by STOP."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(STOP, lambda *_: None)  # between runs there is nothing to stop
