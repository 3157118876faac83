"""Registries of encodings, tasks and the like by name. Listing names imports neither torch nor what they stand for."""

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
_WRITABLE = re.compile(r"[A-Za-z0-9_.\-]+")  # a word in the language of `arith.catalogue.spec`


class Catalogue:
    """A registry of one kind of thing, such as encodings: imported lazily by name, each with a one-line description.

    Args:
        kind: the singular in messages, such as "encoding".
        entries: for each name the target, "module:attribute", and the description.
        aliases: names that stand for a composition, which no entry may take.

    >>> from arith.catalogue import ENCODINGS
    >>> ENCODINGS.load("t5").__name__
    'T5'
    """

    def __init__(
        self, kind: str, entries: dict[str, tuple[str, str]], aliases: dict[str, tuple[str, str]] | None = None
    ) -> None:
        self.kind = kind
        self.plural = f"{kind.removesuffix('y')}ies" if kind.endswith("y") else f"{kind}s"
        self._reserved = {name: meaning for name, (meaning, _) in (aliases or {}).items()}
        self._targets: dict[str, str | Callable[..., Any]] = {name: target for name, (target, _) in entries.items()}
        self._lines = {name: line for name, (_, line) in entries.items()}
        self._looked_outside = False

    def names(self) -> list[str]:
        """All names, in alphabetical order, entry points of installed packages included."""
        self._look_outside()
        return sorted(self._targets)

    def line(self, name: str) -> str:
        """The one-line description of a name."""
        return self._lines[name]

    def has(self, name: str) -> bool:
        return name in self.names()

    def check(self, name: str) -> None:
        """Raise a UsageError if nothing has this name."""
        if not self.has(name):
            known = sorted({*self.names(), *self._reserved})
            raise UsageError(
                f"no {self.kind} is called '{name}'.{did_you_mean(name.lower(), known)}\n"
                f"{self.plural.capitalize()}: {', '.join(known)}. Add your own with --import FILE, or "
                "imports = [FILE] in a recipe"
            )

    def load(self, name: str) -> Callable[..., Any]:
        """Import and return the class or function of this name.

        Raises:
            UsageError: nothing has this name.
        """
        self.check(name)
        target = self._targets[name]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
            return loaded
        return target

    def register(self, name: str) -> Callable[[Found], Found]:
        """A decorator that adds a class under a name; the first line of its docstring becomes the description.

        Args:
            name: the new name.

        Raises:
            UsageError: the name is taken, or cannot be written in the language of encodings.

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
            # Never replaced without a word: a run.json would then mean another encoding than the one that was trained.
            known = self._targets.get(name) or self._reserved.get(name)
            if known is not None and not _same_code(known, thing):
                raise UsageError(f"{self.kind} '{name}' exists already: {known}. Choose another name")
            self._targets[name] = thing
            self._lines[name] = (thing.__doc__ or "").strip().partition("\n")[0]
            return thing

        return add

    def _look_outside(self) -> None:
        """Add the entry points of installed packages, once."""
        # Not at import: this reads the metadata of every installed package.
        if self._looked_outside:
            return
        self._looked_outside = True
        for point in entry_points(group=f"arith.{self.plural.replace(' ', '_')}"):
            if point.name in self._targets:
                raise UsageError(f"{self.kind} '{point.name}' exists already; {point.value} cannot take its name")
            self._targets[point.name] = point.value
            self._lines[point.name] = point.value


def _same_code(known: str | Callable[..., Any], thing: Callable[..., Any]) -> bool:
    """Whether a class is the registered one, defined once more."""
    # As by a notebook's cell that runs again: the newest definition then counts.
    return (
        not isinstance(known, str) and known.__module__ == thing.__module__ and known.__qualname__ == thing.__qualname__
    )


def import_file(path: str) -> str:
    """Import a user's Python file, which registers what it defines.

    Args:
        path: the file.

    Returns:
        The sha256 of its bytes, which a run records.

    Raises:
        UsageError: there is no such file, or it fails; the message names the line.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"--import takes a Python file, and there is none at {path}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    # Named by its content: the same file runs once, however its path is written.
    name = f"arith_imported_{digest[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise UsageError(f"--import takes a Python file, got {path}")
        module = importlib.util.module_from_spec(spec)
        # Before it runs, as for any import: dataclasses and pickle look up a class's module there.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            # Half a module must not pass for the whole one at the next import.
            del sys.modules[name]
            if isinstance(error, UsageError) or not isinstance(error, Exception):
                raise
            place = _line_of(error, path)
            raise UsageError(f"--import {path} fails{place}: {type(error).__name__}: {error}") from error
    return digest


def _line_of(error: Exception, path: str) -> str:
    """Name the last line of the user's file in the traceback, if there is one."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f" in line {lines[-1]}" if lines else ""
