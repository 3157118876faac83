"""Python modules as pieces: top-level statements with what they define and what they refer to, their text kept."""

import ast
import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

WIDTH = 120  # of a line, as ruff is set for arith's own code
Global = tuple[str, str]  # module and name
Edit = tuple[int, int, bytes]  # first byte, the one behind the last, what takes their place
# Packages whose modules are imported by name: `from arith.kernels import folding` binds a module, not a global of one.
PACKAGES = ("arith.encodings", "arith.kernels")


def apply(text: bytes, edits: Iterable[Edit]) -> bytes:
    """A text with its edits made."""
    # From the end to the start, or an edit would move the places of those behind it.
    for first, last, new in sorted(edits, reverse=True):
        text = text[:first] + new + text[last:]
    return text


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
        module: the module's name.
        names: what the statement defines.
        node: its syntax tree.
        first, last: the lines of its text, counted from 1; decorators and comments right above belong to it.
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
        module: its name.
        text: its bytes, as the columns of a syntax tree count bytes of UTF-8, not characters.
        docstring: the module's, empty without one.
        pieces: its top-level statements but imports and the docstring.
        ours: what it imports from arith, by local name: module and global; None in place of a global means the module.
        outside: whatever else it imports, by local name.
        starts: the byte at which each line starts.
    """

    module: str
    text: bytes
    docstring: str
    pieces: tuple[Piece, ...]
    ours: Mapping[str, tuple[str, str | None]]
    outside: Mapping[str, Import]
    starts: tuple[int, ...] = field(repr=False)

    def offset(self, line: int, column: int) -> int:
        """A position of a syntax tree as a byte of the text."""
        return self.starts[line - 1] + column

    def span(self, node: ast.expr) -> tuple[int, int]:
        """The first byte of an expression, and the one behind it."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def lines(self, first: int, last: int) -> tuple[int, int]:
        """The bytes of some lines, line breaks included."""
        return self.starts[first - 1], self.starts[last]

    def defines(self, name: str) -> bool:
        return any(name in piece.names for piece in self.pieces)


@functools.cache
def source(module: str) -> Source:
    """A module of ours, or a file of the user's that was imported."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_bytes()
    tree = ast.parse(text)
    ours: dict[str, tuple[str, str | None]] = {}
    outside: dict[str, Import] = {}
    # All of the tree, as functions import too: what they import lazily here, the file has at hand.
    for name in (name for node in ast.walk(tree) for name in _imports(node)):
        if name.module.startswith("arith."):
            ours[name.local] = _home(name)
        else:
            outside[name.local] = name
    text = _without_arith(text, tree)
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    pieces = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        # A decorated definition begins, to a tree, behind its decorators.
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
        while lines[first - 2].startswith(b"#"):
            first -= 1
        pieces.append(Piece(module, tuple(_defined_names(node)), node, first, node.end_lineno or node.lineno))
    return Source(module, text, ast.get_docstring(tree) or "", tuple(pieces), ours, outside, tuple(starts))


def _without_arith(text: bytes, tree: ast.Module) -> bytes:
    """A module without what only arith needs: `@ENCODINGS.register("tilt")`, and imports of ours inside functions."""
    lines = text.splitlines(keepends=True)
    gone: set[int] = set()
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("S.register"):
                gone |= {*range(decorator.lineno, (decorator.end_lineno or 0) + 1)}
        if isinstance(node, ast.ImportFrom) and node.col_offset and (node.module or "").startswith("arith."):
            last = node.end_lineno or node.lineno
            gone |= {*range(node.lineno, last + 1 + (not lines[last].strip()))}
    return b"".join(line for number, line in enumerate(lines, 1) if number not in gone)


def module_of(thing: object) -> str:
    """The name of the module that defines a class or function."""
    module = inspect.getmodule(thing)
    assert isinstance(module, ModuleType)
    return module.__name__


def references(scope: ast.AST, local: frozenset[str] = frozenset()) -> Iterator[ast.Name]:
    """Names in a statement that Python looks up in its module or among the builtins.

    Args:
        scope: the statement.
        local: names that have a meaning of their own where it stands, such as a function's arguments.
    """
    if isinstance(scope, ast.FunctionDef | ast.Lambda):
        inner = local | _local_names(scope)
        body = scope.body if isinstance(scope.body, list) else [scope.body]
        # Decorators, defaults and annotations are evaluated outside of the function's own scope.
        for child in ast.iter_child_nodes(scope):
            yield from references(child, inner if child in body else local)
        return
    if isinstance(scope, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp):
        targets = [node for generator in scope.generators for node in ast.walk(generator.target)]
        local = local | {node.id for node in targets if isinstance(node, ast.Name)}
    if isinstance(scope, ast.Name) and scope.id not in local and isinstance(scope.ctx, ast.Load):
        yield scope
    for child in ast.iter_child_nodes(scope):
        yield from references(child, local)


def _local_names(function: ast.FunctionDef | ast.Lambda) -> frozenset[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = {argument.arg for argument in every if argument is not None}
    if isinstance(function, ast.FunctionDef):
        # Python's own rule: whatever a function assigns anywhere is local in all of it.
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return frozenset(names)


def _defined_names(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _imports(node: ast.AST) -> Iterator[Import]:
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
    return (f"{name.module}.{name.name}", None) if name.module in PACKAGES else (name.module, name.name)
