"""Hints for people: the command to type next, and how to install an optional dependency."""

import os
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from arith.errors import UsageError


def command_line(*arguments: str) -> str:
    """Write a command to type, quoted for a shell, with the program named as the user called it.

    Args:
        arguments: the command's arguments.
    """
    # `arith` may not be on the PATH, or another installation's: a hint that does not work is worse than none.
    program = sys.argv[0]
    if Path(program).name == "__main__.py":
        return shlex.join(["python", "-m", "arith", *arguments])
    called = program if Path(program).name == "arith" and shutil.which("arith") != program else "arith"
    return shlex.join([os.path.relpath(called) if os.path.isabs(called) else called, *arguments])


def current_command() -> str:
    """The running command, as a run records it."""
    return shlex.join(["arith", *sys.argv[1:]])


def require_package(package: str, extra: str) -> None:
    """Raise a UsageError that says how to install a package, if it is missing.

    Args:
        package: the name by which it is imported.
        extra: the optional dependency of arith that brings it.

    >>> require_package("torch", "none")
    """
    # Looked up, not imported: torch and transformers take seconds to import.
    if find_spec(package) is None:
        raise UsageError(f"this needs {package}: pip install 'arith-toolkit[{extra}]'")
