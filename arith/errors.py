"""Errors a user can mend. The command line prints them without a traceback."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """What was asked for cannot be: exit status 2."""


class RunError(RuntimeError):
    """What was asked for failed while running: exit status 1."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A sentence that suggests the nearest of the allowed names, or nothing.

    >>> did_you_mean("abacuss", ["abacus", "rope"])
    " Did you mean 'abacus'?"
    """
    close = difflib.get_close_matches(name, list(allowed), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
