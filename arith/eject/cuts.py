"""What an ejected file leaves out: code that it does not need, and examples that could not run in it."""

import ast
import builtins
import doctest
import functools
from collections.abc import Iterator

from arith.eject.bundle import Cut, Edit
from arith.eject.sources import Piece, Source, docstrings, source

OP_MODULE = "arith.kernels.attention"


def choose_cuts(kernel: bool, unused: frozenset[str]) -> Cut:
    """What is left out of a piece.

    Args:
        kernel: whether the file has the kernels; otherwise it has one path, and no choice of it.
        unused: the terms that the encoding does not make.
    """

    @functools.cache
    def cuts_of(piece: Piece) -> tuple[Edit, ...]:
        inside = source(piece.module)
        cuts = [*_cut_registration(piece, inside), *_cut_imports(piece, inside), *_cut_terms(piece, inside, unused)]
        if not kernel and piece.module == OP_MODULE and "attention" in piece.names:
            cuts += _cut_backends(piece, inside)
        return tuple(cuts)

    return cuts_of


def _cut_lines(inside: Source, first: int, last: int) -> Edit:
    return (*inside.lines(first, last), b"")


def _cut_registration(piece: Piece, inside: Source) -> Iterator[Edit]:
    """`@ENCODINGS.register("tilt")`, on an encoding of the user's own."""
    for decorator in getattr(piece.node, "decorator_list", []):
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("S.register"):
            yield _cut_lines(inside, decorator.lineno, decorator.end_lineno or decorator.lineno)


def _cut_imports(piece: Piece, inside: Source) -> Iterator[Edit]:
    """Imports of ours in a function, with the blank line after them: the file has what they import."""
    lines = inside.text.splitlines()
    for node in ast.walk(piece.node):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arith."):
            last = node.end_lineno or node.lineno
            yield _cut_lines(inside, node.lineno, last + (not lines[last].strip()))


def _cut_terms(piece: Piece, inside: Source, unused: frozenset[str]) -> Iterator[Edit]:
    """Branches for terms that are not in the file: `case PairTable(...)`, `if isinstance(term, PairTable)`."""
    lines = inside.text.splitlines()
    for node in ast.walk(piece.node):
        if isinstance(node, ast.match_case) and ast.unparse(node.pattern).partition("(")[0] in unused:
            yield _cut_lines(inside, node.pattern.lineno, node.body[-1].end_lineno or node.pattern.lineno)
        if isinstance(node, ast.If) and not node.orelse:
            test = node.test.values[0] if isinstance(node.test, ast.BoolOp) else node.test
            if not isinstance(test, ast.Call) or ast.unparse(test.func) != "isinstance":
                continue
            if ast.unparse(test.args[1]) in unused:
                first = node.lineno
                while lines[first - 2].lstrip().startswith(b"#"):
                    first -= 1
                yield _cut_lines(inside, first, node.end_lineno or node.lineno)
    if "Term" in piece.names and isinstance(piece.node, ast.Assign):
        yield from _cut_from_union(piece.node.value, inside, unused)


def _cut_from_union(union: ast.expr, inside: Source, unused: frozenset[str]) -> Iterator[Edit]:
    """`A | B | C` without those that are not in the file."""
    names: list[ast.expr] = []
    # The tree of A | B | C is (A | B) | C: the last stands outermost.
    while isinstance(union, ast.BinOp):
        names.insert(0, union.right)
        union = union.left
    names.insert(0, union)
    spans = [inside.span(name) for name in names]
    for place, name in enumerate(names):
        if ast.unparse(name) in unused:
            # With the bar before it, or, of the first, behind it.
            yield (spans[0][0], spans[1][0], b"") if place == 0 else (spans[place - 1][1], spans[place][1], b"")


def _cut_backends(piece: Piece, inside: Source) -> Iterator[Edit]:
    """The op without a choice of backend: its checks, and plain torch."""
    function = piece.node
    assert isinstance(function, ast.FunctionDef)
    lines = inside.text.splitlines()
    for argument in function.args.kwonlyargs:
        if argument.arg == "backend":
            yield _cut_lines(inside, argument.lineno, argument.lineno)
    docstring = function.body[0]
    for number in range(docstring.lineno, docstring.end_lineno or docstring.lineno):
        if lines[number - 1].strip().startswith(b"backend: "):
            yield _cut_lines(inside, number, number)
    # The op checks its arguments first; from the line that asks for a route on, all is about backends.
    routed = next(
        node for node in function.body if "route" in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    )
    first, last = inside.lines(routed.lineno, function.end_lineno or function.lineno)
    yield (
        first,
        last,
        b"    return plain_attention(q, k, v, terms, causal, valid, documents, scale, softcap, sinks, dropout)\n",
    )


def drop_broken_examples(file: str) -> str:
    """A module's text, without examples that need what the module does not have.

    >>> print(drop_broken_examples('def f():\\n    \\"\\"\\"One.\\n\\n    >>> g()\\n    \\"\\"\\"'))
    def f():
        \"\"\"One.\"\"\"
    """
    tree = ast.parse(file)
    known = set(dir(builtins)) | {name for node in tree.body for name in _bound_names(node)}
    lines = file.split("\n")
    documented = [docstring for docstring in docstrings(tree) if ">>> " in str(docstring.value)]
    # From the end, or a docstring that gets shorter would move the lines of those below it.
    for node in sorted(documented, key=lambda docstring: -docstring.lineno):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        lines[first : last + 1] = _mend_docstring(lines[first : last + 1], known)
    return "\n".join(lines)


def _mend_docstring(docstring: list[str], known: set[str]) -> list[str]:
    """The same with its examples, if all they need is known; their imports of ours are left out."""
    examples = doctest.DocTestParser().get_examples("\n".join(docstring))
    local: set[str] = set()
    imports = []
    for example in examples:
        for node in ast.parse(example.source).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arith."):
                imports.append(example.source.strip())
                if not {alias.name for alias in node.names} <= known:
                    return _without_examples(docstring)
            local |= set(_bound_names(node))
        names = {node.id for node in ast.walk(ast.parse(example.source)) if isinstance(node, ast.Name)}
        if not names <= known | local:
            return _without_examples(docstring)
    return [line for line in docstring if line.strip().removeprefix(">>> ") not in imports]


def _without_examples(docstring: list[str]) -> list[str]:
    first = next(place for place, line in enumerate(docstring) if line.strip().startswith(">>> "))
    lines = docstring[:first]
    while not lines[-1].strip():
        lines.pop()
    if len(lines) == 1:
        return [lines[0] + '"""']
    indent = docstring[-1][: len(docstring[-1]) - len(docstring[-1].lstrip())]
    return [*lines, f'{indent}"""']


def _bound_names(node: ast.AST) -> list[str]:
    """Names that a statement gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return [name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)]
