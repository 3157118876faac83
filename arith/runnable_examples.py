"""Examples in docstrings that run where they stand: others are taken away."""

import ast
import builtins
import doctest

from arith.sources import docstrings


def with_runnable_examples(file: str) -> str:
    """A module's text, without examples that need what the module does not have.

    >>> print(with_runnable_examples('def f():\\n    \\"\\"\\"One.\\n\\n    >>> g()\\n    \\"\\"\\"'))
    def f():
        \"\"\"One.\"\"\"
    """
    tree = ast.parse(file)
    known = set(dir(builtins)) | {name for node in tree.body for name in _bound(node)}
    lines = file.split("\n")
    documented = [said for said in docstrings(tree) if ">>> " in str(said.value)]
    for node in sorted(documented, key=lambda own: -own.lineno):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        lines[first : last + 1] = _kept(lines[first : last + 1], known)
    return "\n".join(lines)


def _kept(docstring: list[str], known: set[str]) -> list[str]:
    examples = doctest.DocTestParser().get_examples("\n".join(docstring))
    own: set[str] = set()
    inside = []  # imports of what the file has
    for example in examples:
        for node in ast.parse(example.source).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("arith."):
                inside.append(example.source.strip())
                if not {alias.name for alias in node.names} <= known:
                    return _without_examples(docstring)
            own |= set(_bound(node))
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


def _bound(node: ast.AST) -> list[str]:
    """Names that a statement gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return [own.id for own in ast.walk(node) if isinstance(own, ast.Name) and isinstance(own.ctx, ast.Store)]
