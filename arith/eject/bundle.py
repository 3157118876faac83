"""One readable file from the pieces of several modules that some of their names need."""

import ast
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from arith.eject.docstrings import docstrings
from arith.eject.einops_to_torch import translate
from arith.eject.sources import WIDTH, Edit, Global, Import, Piece, Source, apply, references, source

EINOPS = ("rearrange", "repeat", "reduce")
_MENTION = re.compile(r"(?<=`)\w+(?=`)|\b\w+(?=\()")  # of a global in a docstring: in backticks or called


@dataclass(frozen=True)
class Bundle:
    """What goes into a file.

    Args:
        pieces: the code, modules in the order of their imports.
        names: what each global is called in the file.
    """

    pieces: tuple[Piece, ...]
    names: Mapping[Global, str]

    @staticmethod
    def of(
        roots: Sequence[Global], preferred: Mapping[Global, str], instead: Mapping[Global, Global] | None = None
    ) -> "Bundle":
        """The pieces that define the roots, and all that these refer to.

        Args:
            roots: the globals that the file is for.
            preferred: names for globals that share theirs with another.
            instead: globals that others of the same name stand in for.
        """
        found: set[Piece] = set()
        modules: dict[str, None] = {}

        def take(name: Global) -> None:
            name = (instead or {}).get(name, name)
            for piece in source(name[0]).pieces:
                if piece not in found and (name[1] in piece.names or _belongs(piece, name[1])):
                    found.add(piece)
                    for other in _dependencies(piece):
                        take(other)
                    # Only now: modules that this one builds on come before it.
                    modules.setdefault(piece.module)

        for root in roots:
            take(root)
        order = _imports_first(modules)
        pieces = [piece for module in order for piece in source(module).pieces if piece in found]
        return Bundle(tuple(pieces), _choose_names(pieces, preferred))

    def imports(self, text: str) -> str:
        """The import statements that the file's text needs."""
        used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        found = {name for piece in self.pieces for name in source(piece.module).outside.values() if name.local in used}
        found.add(Import("torch", None, "torch"))
        return format_imports({_without_jaxtyping(name) for name in found if name.module != "einops"})

    def sections(self, last: str = "", headings: bool = True) -> Iterator[str]:
        """The text of each module's pieces.

        Args:
            last: a module that comes behind those that it builds on and those that build on it.
            headings: whether modules' docstrings stand above as comments.
        """
        for module in sorted(dict.fromkeys(piece.module for piece in self.pieces), key=lambda own: own == last):
            inside = source(module)
            pieces = [piece for piece in self.pieces if piece.module == module]
            docstring = _MENTION.sub(partial(self._rename_mention, inside), inside.docstring)
            heading = _section_heading(inside, docstring, len(pieces)) if headings else ""
            yield (heading + _join_pieces([(piece, self._text(piece)) for piece in pieces])).rstrip("\n")

    def _text(self, piece: Piece) -> str:
        inside = source(piece.module)
        start, end = inside.lines(piece.first, piece.last)
        edits = [(first - start, last - start, new) for first, last, new in self._edits(piece, inside)]
        return apply(inside.text[start:end], edits).decode().rstrip("\n")

    def _edits(self, piece: Piece, inside: Source) -> Iterator[Edit]:
        """Renamed globals, names of modules taken away, einops written out."""
        global_names = {id(node) for node in references(piece.node)}
        for node in ast.walk(piece.node):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EINOPS:
                yield (*inside.span(node), translate(node).encode())
            if isinstance(node, ast.Name) and id(node) not in global_names:
                continue  # a local variable, which may be called like a global
            if isinstance(node, ast.Name | ast.Attribute):
                name = self.names.get(_meaning(inside, node) or ("", ""))
                if name is not None and ast.unparse(node) != name:
                    yield (*inside.span(node), name.encode())
        for at, name in _definitions(piece, inside):
            new = self.names.get((piece.module, name), name)
            if new != name:
                yield at, at + len(name.encode()), new.encode()
        # Docstrings are strings to a tree, so that what they mention is found by its looks.
        for docstring in docstrings(piece.node):
            start, end = inside.span(docstring)
            text = inside.text[start:end].decode()
            for mention in _MENTION.finditer(text):
                at = start + len(text[: mention.start()].encode())
                yield at, at + len(mention[0].encode()), self._rename_mention(inside, mention).encode()

    def _rename_mention(self, inside: Source, mention: re.Match[str]) -> str:
        """What the file calls a global that a docstring mentions; other words stay."""
        return self.names.get(_meaning(inside, ast.Name(mention[0])) or ("", ""), mention[0])


def _definitions(piece: Piece, inside: Source) -> Iterator[tuple[int, str]]:
    """Where the names stand that a piece defines."""
    node = piece.node
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        # A tree tells where a definition begins, not where its name stands.
        word = b"class " if isinstance(node, ast.ClassDef) else b"def "
        yield inside.text.index(word, inside.offset(node.lineno, 0)) + len(word), node.name
    for target in getattr(node, "targets", []):
        if isinstance(target, ast.Name):
            yield inside.span(target)[0], target.id


def _meaning(inside: Source, node: ast.expr) -> Global | None:
    """The global of ours that an expression is, if any."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module, name = inside.ours.get(node.value.id, ("", ""))
        return (module, node.attr) if name is None else None
    if not isinstance(node, ast.Name):
        return None
    if inside.defines(node.id):
        return inside.module, node.id
    module, name = inside.ours.get(node.id, ("", None))
    return None if name is None else (module, name)


def _dependencies(piece: Piece) -> Iterator[Global]:
    """Globals of ours that a piece refers to."""
    inside = source(piece.module)
    attributes = {id(node.value): node for node in ast.walk(piece.node) if isinstance(node, ast.Attribute)}
    for name in references(piece.node):
        # In `folding.fold` the name is a module, and the attribute the global.
        found = _meaning(inside, name) or _meaning(inside, attributes.get(id(name), name))
        if found is not None:
            yield found


def _belongs(piece: Piece, name: str) -> bool:
    """Whether a piece without a name of its own adds something to this global: `@op.register_fake def _(...)`."""
    node = piece.node
    if isinstance(node, ast.Expr):
        heads: list[ast.expr] = [node.value]
    elif isinstance(node, ast.FunctionDef) and node.name == "_":
        heads = node.decorator_list
    else:
        return False
    return any(isinstance(part, ast.Name) and part.id == name for head in heads for part in ast.walk(head))


def _imports_first(modules: Collection[str]) -> list[str]:
    """Modules after those that they import, otherwise in the order given."""
    order: dict[str, None] = {}

    def place(module: str) -> None:
        for imported, _ in source(module).ours.values():
            if imported in modules and imported not in order and imported != module:
                place(imported)
        order.setdefault(module)

    for module in modules:
        place(module)
    return list(order)


def _choose_names(pieces: Sequence[Piece], preferred: Mapping[Global, str]) -> dict[Global, str]:
    """What each global is called: as it was, unless that is another's name too."""
    # `_` is what functions are called that a decorator takes, and that nobody refers to.
    every = [(piece.module, name) for piece in pieces for name in piece.names if name != "_"]
    times = Counter(name for _, name in every)
    names = {
        (module, name): name if times[name] == 1 else preferred.get((module, name), _prefixed_name(module, name))
        for module, name in every
    }
    chosen, times_chosen = Counter(names.values()).most_common(1)[0]
    if times_chosen > 1:
        raise ValueError(f"two things in the file would be called '{chosen}'")
    return names


def _prefixed_name(module: str, name: str) -> str:
    short = module.rpartition(".")[2]
    if name[:1].isupper():
        return short.title().replace("_", "") + name
    return f"_{short}{name}" if name.startswith("_") else f"{short}_{name}"


def _without_jaxtyping(name: Import) -> Import:
    """Shapes in annotations are for readers: `Annotated` keeps them, and needs nothing but Python."""
    return Import("typing", "Annotated", name.local) if name.module == "jaxtyping" else name


def format_imports(wanted: Collection[Import]) -> str:
    """Import statements, the standard library's first, in the order in which ruff puts them."""
    blocks = []
    for standard in (True, False):
        block = [name for name in wanted if (name.module.partition(".")[0] in sys.stdlib_module_names) == standard]
        modules = sorted({(name.module, name.local) for name in block if name.name is None})
        lines = [f"import {m}" if local == m.partition(".")[0] else f"import {m} as {local}" for m, local in modules]
        for module in sorted({name.module for name in block if name.name is not None}):
            names = [(name.name, name.local) for name in block if name.module == module and name.name is not None]
            plain = sorted((local for name, local in names if name == local), key=_import_order)
            # ruff puts each `as` on a line of its own, and sorts lines of a module by their first name.
            renamed = sorted((name, local) for name, local in names if name != local)
            statements = [(name, f"from {module} import {name} as {local}") for name, local in renamed]
            statements += [(plain[0], f"from {module} import {', '.join(plain)}")] if plain else []
            lines += [line for _, line in sorted(statements, key=lambda statement: _import_order(statement[0]))]
        blocks.append("\n".join(lines))
    return "\n\n".join(block for block in blocks if block)


def _import_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2), name


def _section_heading(inside: Source, docstring: str, pieces: int) -> str:
    """A module's docstring as a comment, if half of its pieces or more are in the file: else it would promise more."""
    if 2 * pieces < len(inside.pieces) or not docstring:
        return ""
    paragraphs = f"{inside.module.rpartition('.')[2]}: {docstring}".split("\n\n")
    return "#\n".join(map(_as_comment, paragraphs)) + "\n\n"


def _as_comment(paragraph: str) -> str:
    """Text filled anew, as a mark and a space make it wider; tables and formulas, which are indented, as they are."""
    if any(line.startswith(" ") for line in paragraph.splitlines()):
        return "".join(f"#{'' if line.startswith(' ') else ' '}{line}\n" for line in paragraph.splitlines())
    return textwrap.fill(paragraph, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False) + "\n"


def _join_pieces(texts: Sequence[tuple[Piece, str]]) -> str:
    """Definitions with two blank lines between them; constants with none, or one where there were some."""
    joined = texts[0][1]
    for (before, _), (piece, text) in pairwise(texts):
        blocks = any(isinstance(one.node, ast.FunctionDef | ast.ClassDef) for one in (before, piece))
        close = piece.first == before.last + 1
        joined += ("\n\n\n" if blocks else "\n" if close else "\n\n") + text
    return joined
