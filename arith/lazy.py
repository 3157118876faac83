"""Names that a package re-exports, imported when first used: `arith list` must not wait for torch."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` that looks each name up in its home.

    Args:
        package: `__name__` of the package that re-exports.
        homes: for each name the submodule of `package` that defines it, and after a colon what it is called there.

    >>> find = lazy_exports("arith.results", {"wilson": "uncertainty"})
    >>> find("wilson").__module__
    'arith.results.uncertainty'
    >>> lazy_exports("arith", {"task": "catalogue.named:task_named"})("task").__name__
    'task_named'
    >>> find("wilsons")
    Traceback (most recent call last):
    ...
    AttributeError: module 'arith.results' has no attribute 'wilsons'
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        module, _, attribute = homes[name].partition(":")
        return getattr(importlib.import_module(f"{package}.{module}"), attribute or name)

    return find
