"""What arith can do without, and asks for when it is needed."""

from importlib.util import find_spec

from arith.errors import UsageError


def needs(package: str, extra: str) -> None:
    """Raise a UsageError that says how to install a package that is missing.

    >>> needs("torch", "none")
    """
    if find_spec(package) is None:
        raise UsageError(f"this needs {package}: pip install 'arith-toolkit[{extra}]'")
