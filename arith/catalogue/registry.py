"""What there is, by name. Names are lazy: listing them imports neither torch nor what they stand for."""

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from arith.errors import UsageError, did_you_mean

Found = TypeVar("Found", bound=Callable[..., Any])


_WRITABLE = re.compile(r"[A-Za-z0-9_.\-]+")  # what a spec can name


class Catalogue:
    """Names of one kind of thing, each with a line that says what it is.

    >>> from arith.catalogue import ENCODINGS
    >>> ENCODINGS.load("t5").__name__
    'T5'
    """

    def __init__(
        self, kind: str, entries: dict[str, tuple[str, str]], aliases: dict[str, tuple[str, str]] | None = None
    ) -> None:
        self.kind = kind
        self._reserved = {name: meaning for name, (meaning, _) in (aliases or {}).items()}
        self._targets: dict[str, str | Callable[..., Any]] = {name: target for name, (target, _) in entries.items()}
        self._lines = {name: line for name, (_, line) in entries.items()}
        self._looked_outside = False

    def names(self) -> list[str]:
        self._look_outside()
        return sorted(self._targets)

    def line(self, name: str) -> str:
        """What the name stands for, in one line."""
        return self._lines[name]

    def has(self, name: str) -> bool:
        return name in self.names()

    def check(self, name: str) -> None:
        """Raise if nothing has this name."""
        if not self.has(name):
            known = sorted({*self.names(), *self._reserved})
            raise UsageError(
                f"no {self.kind} is called '{name}'.{did_you_mean(name.lower(), known)}\n"
                f"{self.kind.capitalize()}s: {', '.join(known)}. Add your own with --import FILE"
            )

    def load(self, name: str) -> Callable[..., Any]:
        """What has this name."""
        self.check(name)
        target = self._targets[name]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
            return loaded
        return target

    def register(self, name: str) -> Callable[[Found], Found]:
        """A decorator that adds a class under a name.

        >>> from arith.catalogue import SCHEMES
        >>> @SCHEMES.register("doctest-scheme")
        ... class Mine: ...
        >>> SCHEMES.load("doctest-scheme").__name__
        'Mine'
        """

        def add(thing: Found) -> Found:
            if not _WRITABLE.fullmatch(name):
                raise UsageError(
                    f"'{name}' cannot be the name of a {self.kind}: names are of letters, digits, '-', '_' and '.'"
                )
            known = self._targets.get(name) or self._reserved.get(name)
            if known is not None and not _same_code(known, thing):
                raise UsageError(f"{self.kind} '{name}' exists already: {known}. Choose another name")
            self._targets[name] = thing
            self._lines[name] = (thing.__doc__ or "").strip().partition("\n")[0]
            return thing

        return add

    def _look_outside(self) -> None:
        if self._looked_outside:
            return
        self._looked_outside = True
        for point in entry_points(group=f"arith.{self.kind.replace(' ', '_')}s"):
            if point.name in self._targets:
                raise UsageError(f"{self.kind} '{point.name}' exists already; {point.value} cannot take its name")
            self._targets[point.name] = point.value
            self._lines[point.name] = point.value


def _same_code(known: str | Callable[..., Any], thing: Callable[..., Any]) -> bool:
    """Whether a class comes from a file that is imported once more."""
    return (
        not isinstance(known, str) and known.__module__ == thing.__module__ and known.__qualname__ == thing.__qualname__
    )


def import_file(path: str) -> str:
    """Run a user's Python file, which registers what it defines, and return the sha256 of its bytes."""
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"--import takes a Python file, and there is none at {path}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    name = f"arith_imported_{digest[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise UsageError(f"--import takes a Python file, got {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            del sys.modules[name]
            if isinstance(error, UsageError) or not isinstance(error, Exception):
                raise
            place = _line_of(error, path)
            raise UsageError(f"--import {path} fails{place}: {type(error).__name__}: {error}") from error
    return digest


def _line_of(error: Exception, path: str) -> str:
    """Where in the user's file, if it tells."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f" in line {lines[-1]}" if lines else ""
