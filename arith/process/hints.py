"""Commands for people to type next; optional dependencies: how to install one that is missing."""

import os
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from arith.errors import UsageError


def command_line(*arguments: str) -> str:
    """A command to type, with the program as it was called: `arith` may not be on the PATH."""
    program = sys.argv[0]
    if Path(program).name == "__main__.py":
        return shlex.join(["python", "-m", "arith", *arguments])
    called = program if Path(program).name == "arith" and shutil.which("arith") != program else "arith"
    return shlex.join([os.path.relpath(called) if os.path.isabs(called) else called, *arguments])


def current_command() -> str:
    """The command that is running."""
    return shlex.join(["arith", *sys.argv[1:]])


def require_package(package: str, extra: str) -> None:
    """Raise a UsageError that says how to install a package that is missing.

    >>> require_package("torch", "none")
    """
    if find_spec(package) is None:
        raise UsageError(f"this needs {package}: pip install 'arith-toolkit[{extra}]'")
