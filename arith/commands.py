"""Commands for people to type next."""

import os
import shlex
import shutil
import sys
from pathlib import Path


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
