"""Docstrings in a text: where they are, and how much of them a file keeps."""

import ast
import re
from collections.abc import Iterator
from itertools import takewhile

EXAMPLES = re.compile(r"\s*>>> ")
SECTIONS = re.compile(r"\s*(>>> |(Args|Attributes|Raises):$)")


def docstrings(scope: ast.AST) -> Iterator[ast.Constant]:
    """Those of a function or class, and of what is defined in it."""
    for node in ast.walk(scope):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


def shorten_docstrings(text: str, to: re.Pattern[str] = EXAMPLES) -> str:
    """Docstrings up to the first line that a pattern matches, without it."""
    tree, lines = ast.parse(text), text.split("\n")
    # From the end, or a docstring that gets shorter would move the lines of those below it.
    for node in sorted(docstrings(tree), key=lambda own: -own.lineno):
        first, last = node.lineno - 1, node.end_lineno or 0
        told = list(takewhile(lambda line: not to.match(line), lines[first:last]))
        if len(told) < last - first:
            while not told[-1].strip():
                told.pop()
            lines[first:last] = (
                [told[0] + '"""'] if len(told) == 1 else [*told, lines[first][: node.col_offset] + '"""']
            )
    return "\n".join(lines)
