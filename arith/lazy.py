"""Names that a package re-exports, imported when first used: `arith list` must not wait for torch."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` that looks each name up in its home.

    Args:
        package: `__name__` of the package that re-exports.
        homes: for each name the submodule of `package` that defines it.

    >>> find = lazy_exports("arith.results", {"wilson": "uncertainty"})
    >>> find("wilson").__module__
    'arith.results.uncertainty'
    >>> find("wilsons")
    Traceback (most recent call last):
    ...
    AttributeError: module 'arith.results' has no attribute 'wilsons'
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return find
