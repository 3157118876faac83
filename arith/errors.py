"""Errors that a user can mend. The command line prints them without a traceback."""

import difflib
from collections.abc import Iterable


# Exit statuses: 2 is what click and most Unix tools return for a wrong command line, so that a script can tell "I typed
# it wrong" from "it ran and failed", which may succeed when tried again.
class UsageError(ValueError):
    """A command, a configuration or a file is wrong: exit status 2."""


class RunError(RuntimeError):
    """Something failed while running, such as a full disk: exit status 1."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Suggest the nearest of the allowed names, in a sentence to append to a message; empty if none is near.

    Args:
        name: the name that nothing has.
        allowed: the names to choose from.

    >>> did_you_mean("abacuss", ["abacus", "rope"])
    " Did you mean 'abacus'?"
    """
    # More than 60% of the letters in common and in order: a letter too many, missing or swapped is found, and another
    # word is not offered, as "fast" for "factor". One suggestion is enough, as messages list all names after it.
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.61)
    return f" Did you mean '{close[0]}'?" if close else ""
