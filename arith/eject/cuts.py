"""What an ejected file leaves out of the code that it is made of."""

import ast
import builtins
import doctest
import functools
from collections.abc import Iterator

from arith.eject.bundle import Cut, Edit
from arith.eject.sources import Piece, Source, docstrings, source

ATTENTION = "arith.kernels.attention"


def choose_cuts(kernel: bool, unused: frozenset[str]) -> Cut:
    """What is left out.

    Args:
        kernel: the file has the kernels; otherwise it has one path, and no choice of it.
        unused: terms that the encoding does not make.
    """

    @functools.cache
    def of(piece: Piece) -> tuple[Edit, ...]:
        inside = source(piece.module)
        found = [*_cut_registration(piece, inside), *_cut_imports(piece, inside), *_cut_terms(piece, inside, unused)]
        if not kernel and piece.module == ATTENTION and "attention" in piece.names:
            found += _cut_backends(piece, inside)
        return tuple(found)

    return of


def _lines(inside: Source, first: int, last: int) -> Edit:
    return inside.starts[first - 1], inside.starts[last], b""


def _cut_registration(piece: Piece, inside: Source) -> Iterator[Edit]:
    """`@ENCODINGS.register("tilt")`"""
    for decorator in getattr(piece.node, "decorator_list", []):
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("S.register"):
            yield _lines(inside, decorator.lineno, decorator.end_lineno or decorator.lineno)


def _cut_imports(piece: Piece, inside: Source) -> Iterator[Edit]:
    """Imports of ours in a function, with the blank line after them."""
    lines = inside.text.splitlines()
    for node in ast.walk(piece.node):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arith."):
            last = node.end_lineno or node.lineno
            yield _lines(inside, node.lineno, last + (not lines[last].strip()))


def _cut_terms(piece: Piece, inside: Source, unused: frozenset[str]) -> Iterator[Edit]:
    """Cases and checks of terms that are not in the file."""
    lines = inside.text.splitlines()
    for node in ast.walk(piece.node):
        if isinstance(node, ast.match_case) and ast.unparse(node.pattern).partition("(")[0] in unused:
            last = node.body[-1]
            first = node.pattern.lineno
            yield _lines(inside, first, last.end_lineno or last.lineno)
        if isinstance(node, ast.If):
            test = node.test.values[0] if isinstance(node.test, ast.BoolOp) else node.test
            asked = test.args[1:] if isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance" else []
            if asked and ast.unparse(asked[0]) in unused and not node.orelse:
                first = node.lineno
                while lines[first - 2].lstrip().startswith(b"#"):
                    first -= 1
                yield _lines(inside, first, node.end_lineno or node.lineno)
    if "Term" in piece.names and isinstance(piece.node, ast.Assign):
        yield from _cut_from_union(piece.node.value, inside, unused)


def _cut_from_union(union: ast.expr, inside: Source, unused: frozenset[str]) -> Iterator[Edit]:
    """`A | B | C` without those that are not in the file."""
    names: list[ast.expr] = []
    while isinstance(union, ast.BinOp):
        names.insert(0, union.right)
        union = union.left
    names.insert(0, union)
    starts = [inside.offset(name.lineno, name.col_offset) for name in names]
    ends = [inside.offset(name.lineno, name.end_col_offset or 0) for name in names]
    for place, name in enumerate(names):
        if ast.unparse(name) in unused:
            yield (starts[0], starts[1], b"") if place == 0 else (ends[place - 1], ends[place], b"")


def _cut_backends(piece: Piece, inside: Source) -> Iterator[Edit]:
    """The op without a choice of backend: its checks, and plain torch."""
    function = piece.node
    assert isinstance(function, ast.FunctionDef)
    lines = inside.text.splitlines()
    for argument in function.args.kwonlyargs:
        if argument.arg == "backend":
            yield _lines(inside, argument.lineno, argument.lineno)
    said = function.body[0]
    for number in range(said.lineno, said.end_lineno or said.lineno):
        if lines[number - 1].strip().startswith(b"backend: "):
            yield _lines(inside, number, number)
    routed = next(
        node for node in function.body if "route" in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    )
    first, last, _ = _lines(inside, routed.lineno, function.end_lineno or function.lineno)
    yield first, last, b"    return plain_attention(q, k, v, terms, causal, valid, documents, scale, dropout)\n"


def drop_broken_examples(file: str) -> str:
    """A module's text, without examples that need what the module does not have.

    >>> print(drop_broken_examples('def f():\\n    \\"\\"\\"One.\\n\\n    >>> g()\\n    \\"\\"\\"'))
    def f():
        \"\"\"One.\"\"\"
    """
    tree = ast.parse(file)
    known = set(dir(builtins)) | {name for node in tree.body for name in _bound_names(node)}
    lines = file.split("\n")
    documented = [said for said in docstrings(tree) if ">>> " in str(said.value)]
    for node in sorted(documented, key=lambda own: -own.lineno):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        lines[first : last + 1] = _edit_docstring(lines[first : last + 1], known)
    return "\n".join(lines)


def _edit_docstring(docstring: list[str], known: set[str]) -> list[str]:
    examples = doctest.DocTestParser().get_examples("\n".join(docstring))
    own: set[str] = set()
    inside = []  # imports of what the file has
    for example in examples:
        for node in ast.parse(example.source).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arith."):
                inside.append(example.source.strip())
                if not {alias.name for alias in node.names} <= known:
                    return _without_examples(docstring)
            own |= set(_bound_names(node))
        names = {node.id for node in ast.walk(ast.parse(example.source)) if isinstance(node, ast.Name)}
        if not names <= known | own:
            return _without_examples(docstring)
    return [line for line in docstring if line.strip().removeprefix(">>> ") not in inside]


def _without_examples(docstring: list[str]) -> list[str]:
    first = next(place for place, line in enumerate(docstring) if line.strip().startswith(">>> "))
    kept = docstring[:first]
    while not kept[-1].strip():
        kept.pop()
    indent = docstring[-1][: len(docstring[-1]) - len(docstring[-1].lstrip())]
    if len(kept) == 1:
        return [kept[0] + '"""']
    return [*kept, f'{indent}"""']


def _bound_names(node: ast.AST) -> list[str]:
    """Names that a statement gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return [own.id for own in ast.walk(node) if isinstance(own, ast.Name) and isinstance(own.ctx, ast.Store)]
