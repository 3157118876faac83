"""Python modules as pieces: top-level statements with what they define and what they refer to, their text kept."""

import ast
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

Global = tuple[str, str]  # module and name
PARTS = ("arith.encodings", "arith.kernels")  # packages of ours, whose modules are imported by name


@dataclass(frozen=True)
class Import:
    """A name that comes from outside: `from module import name as local`, or `import module` where `name` is None."""

    module: str
    name: str | None
    local: str


@dataclass(frozen=True)
class Piece:
    """A top-level statement of a module.

    Args:
        names: that it defines.
        node: as parsed.
        first, last: lines of its text, from 1; comments right above belong to it.
    """

    module: str
    names: tuple[str, ...]
    node: ast.stmt
    first: int
    last: int


@dataclass(frozen=True)
class Source:
    """A module's text and pieces.

    Args:
        own: modules and names of ours that it imports, by their local names; a name of None is the module itself.
        outside: whatever else it imports.
    """

    module: str
    text: bytes
    docstring: str
    pieces: tuple[Piece, ...]
    own: Mapping[str, tuple[str, str | None]]
    outside: Mapping[str, Import]
    starts: tuple[int, ...] = field(repr=False)  # of each line, in bytes

    def offset(self, line: int, column: int) -> int:
        """Of a place as `ast` tells it, in bytes."""
        return self.starts[line - 1] + column

    def defines(self, name: str) -> bool:
        return any(name in piece.names for piece in self.pieces)


@functools.cache
def source(module: str) -> Source:
    """A module of ours, or a file of the user's that was imported."""
    text = _path(module).read_bytes()
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    own: dict[str, tuple[str, str | None]] = {}
    outside: dict[str, Import] = {}
    pieces = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        first = min([node.lineno, *(own.lineno for own in getattr(node, "decorator_list", []))])
        while lines[first - 2].startswith(b"#"):
            first -= 1
        pieces.append(Piece(module, tuple(_defined_names(node)), node, first, node.end_lineno or node.lineno))
    for name in (name for node in ast.walk(tree) for name in _imported_names(node)):
        if name.module.startswith("arith."):
            own[name.local] = _home(name)
        else:
            outside[name.local] = name
    return Source(module, text, ast.get_docstring(tree) or "", tuple(pieces), own, outside, tuple(starts))


def module_of(thing: object) -> str:
    """The name of the module that defines a class or function."""
    module = inspect.getmodule(thing)
    assert isinstance(module, ModuleType)
    return module.__name__


def references(scope: ast.AST) -> Iterator[ast.Name]:
    """Names in a statement that are looked up in its module, or are no one's; local ones of functions are left out."""
    yield from _global_names(scope, frozenset())


def docstrings(scope: ast.AST) -> Iterator[ast.Constant]:
    """Those of a function or class, and of what is defined in it."""
    for node in ast.walk(scope):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.body:
            said = node.body[0]
            if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant):
                yield said.value


def _global_names(node: ast.AST, local: frozenset[str]) -> Iterator[ast.Name]:
    inner = local
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        inner = local | _local_names(node)
        body = node.body if isinstance(node.body, list) else [node.body]
        # Decorators, defaults and annotations are not of the function's own scope.
        for child in ast.iter_child_nodes(node):
            yield from _global_names(child, inner if child in body else local)
        return
    if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp):
        inner = local | {
            own.id for generator in node.generators for own in ast.walk(generator.target) if isinstance(own, ast.Name)
        }
    if isinstance(node, ast.Name) and node.id not in inner and isinstance(node.ctx, ast.Load):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _global_names(child, inner)


def _local_names(function: ast.FunctionDef | ast.Lambda) -> frozenset[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = {own.arg for own in every if own is not None}
    if isinstance(function, ast.FunctionDef):
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return frozenset(names)


def _defined_names(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (own.id for target in targets for own in ast.walk(target) if isinstance(own, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _imported_names(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, None, alias.asname or alias.name.partition(".")[0])
    if isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            yield Import(node.module, alias.name, alias.asname or alias.name)


def _home(name: Import) -> tuple[str, str | None]:
    """Where an import of ours leads: to a name in a module, or to a module."""
    if name.name is None:
        return name.module, None
    return (f"{name.module}.{name.name}", None) if name.module in PARTS else (name.module, name.name)


def _path(module: str) -> Path:
    known = sys.modules.get(module)
    if known is not None and known.__file__:
        return Path(known.__file__)
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)
