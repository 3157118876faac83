"""One readable file from the pieces of several modules that some of their names need."""

import ast
import re
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from arith.eject.einops_to_torch import translate
from arith.eject.sources import Global, Import, Piece, Source, docstrings, references, source

WIDTH = 120
Edit = tuple[int, int, bytes]  # bytes from, bytes to, what takes their place
Cut = Callable[[Piece], Sequence[Edit]]  # what a file leaves out of a piece
EINOPS = ("rearrange", "repeat", "reduce")
_MENTION = re.compile(r"(?<=`)\w+(?=`)|\b\w+(?=\()")  # of a global in a docstring: in backticks or called


@dataclass(frozen=True)
class Bundle:
    """What goes into a file.

    Args:
        pieces: those that are needed, modules in the order of their imports.
        names: what each global is called in the file.
        cuts: what is left out of each piece.
    """

    pieces: tuple[Piece, ...]
    names: Mapping[Global, str]
    cuts: Cut

    @staticmethod
    def of(roots: Sequence[Global], preferred: Mapping[Global, str], cuts: Cut) -> "Bundle":
        """The pieces that define the roots, and all that these refer to.

        Args:
            preferred: names for globals that bear another's name.
        """
        found: dict[int, Piece] = {}
        modules: dict[str, None] = {}

        def take(name: Global) -> None:
            for piece in source(name[0]).pieces:
                if id(piece) not in found and (name[1] in piece.names or _belongs(piece, name[1])):
                    found[id(piece)] = piece
                    for other in _dependencies(piece, cuts(piece)):
                        take(other)
                    modules.setdefault(piece.module)

        for root in roots:
            take(root)
        order = _imports_first(modules)
        pieces = [piece for module in order for piece in source(module).pieces if id(piece) in found]
        return Bundle(tuple(pieces), _choose_names(pieces, preferred), cuts)

    def calls_among(self, of: Sequence[Global]) -> set[Global]:
        """Which of some classes and functions are called anywhere in the pieces."""
        calls = [
            _meaning(source(piece.module), node.func)
            for piece in self.pieces
            for node in ast.walk(piece.node)
            if isinstance(node, ast.Call)
        ]
        return {name for name in calls if name is not None and name in of}

    def imports(self, more: Collection[Import] = ()) -> str:
        """What the file imports, in the usual order."""
        wanted = set(more)
        for piece in self.pieces:
            inside = source(piece.module)
            gone = self.cuts(piece)
            for node in references(piece.node):
                outer = inside.outside.get(node.id)
                if outer is not None and not _is_cut(inside.offset(node.lineno, node.col_offset), gone):
                    wanted.add(outer)
        return format_imports({_without_jaxtyping(own) for own in wanted if own.module != "einops"})

    def sections(self) -> Iterator[str]:
        """The text of each module's pieces."""
        for module in dict.fromkeys(piece.module for piece in self.pieces):
            inside = source(module)
            pieces = [piece for piece in self.pieces if piece.module == module]
            told = _MENTION.sub(partial(self._rename_mention, inside), inside.docstring)
            heading = _section_heading(inside, told, len(pieces))
            yield heading + _join_pieces([(piece, self._text(piece)) for piece in pieces])

    def _text(self, piece: Piece) -> str:
        inside = source(piece.module)
        start, end = inside.starts[piece.first - 1], inside.starts[piece.last]
        gone = list(self.cuts(piece))
        edits = [*gone, *(edit for edit in self._edits(piece, inside) if not _is_cut(edit[0], gone))]
        text = inside.text[start:end]
        for first, last, new in sorted(edits, reverse=True):
            text = text[: first - start] + new + text[last - start :]
        return text.decode().rstrip("\n")

    def _edits(self, piece: Piece, inside: Source) -> Iterator[Edit]:
        """Renamed globals, names of modules taken away, einops written out."""

        def place(node: ast.expr) -> tuple[int, int]:
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            return inside.offset(node.lineno, node.col_offset), inside.offset(node.end_lineno, node.end_col_offset)

        global_names = {id(node) for node in references(piece.node)}
        for node in ast.walk(piece.node):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EINOPS:
                yield (*place(node), translate(node).encode())
            if isinstance(node, ast.Name) and id(node) not in global_names:
                continue
            if isinstance(node, ast.Name | ast.Attribute):
                name = self.names.get(_meaning(inside, node) or ("", ""))
                if name is not None and ast.unparse(node) != name:
                    yield (*place(node), name.encode())
        if isinstance(piece.node, ast.FunctionDef | ast.ClassDef):
            own = self.names.get((piece.module, piece.node.name))
            if own is not None and own != piece.node.name:
                word = b"class " if isinstance(piece.node, ast.ClassDef) else b"def "
                at = inside.text.index(word, inside.offset(piece.node.lineno, 0)) + len(word)
                yield at, at + len(piece.node.name.encode()), own.encode()
        for target in getattr(piece.node, "targets", []):
            own = self.names.get((piece.module, getattr(target, "id", "")))
            if own is not None and own != target.id:
                yield (*place(target), own.encode())
        for said in docstrings(piece.node):
            start, end = place(said)
            text = inside.text[start:end].decode()
            for mention in _MENTION.finditer(text):
                at = start + len(text[: mention.start()].encode())
                yield at, at + len(mention[0].encode()), self._rename_mention(inside, mention).encode()

    def _rename_mention(self, inside: Source, mention: re.Match[str]) -> str:
        """What the file calls a global that a docstring mentions; other words as they are."""
        return self.names.get(_meaning(inside, ast.Name(mention[0])) or ("", ""), mention[0])


def _is_cut(offset: int, edits: Sequence[Edit]) -> bool:
    return any(first <= offset < last for first, last, _ in edits)


def _meaning(inside: Source, node: ast.expr) -> Global | None:
    """The global of ours that an expression is, if any."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module, name = inside.own.get(node.value.id, ("", ""))
        return (module, node.attr) if name is None else None
    if not isinstance(node, ast.Name):
        return None
    if inside.defines(node.id):
        return inside.module, node.id
    module, name = inside.own.get(node.id, ("", None))
    return None if name is None else (module, name)


def _dependencies(piece: Piece, gone: Sequence[Edit]) -> Iterator[Global]:
    """Globals of ours that a piece refers to."""
    inside = source(piece.module)
    attributes = {id(node.value): node for node in ast.walk(piece.node) if isinstance(node, ast.Attribute)}
    for name in references(piece.node):
        if _is_cut(inside.offset(name.lineno, name.col_offset), gone):
            continue
        found = _meaning(inside, name) or _meaning(inside, attributes.get(id(name), name))
        if found is not None:
            yield found


def _belongs(piece: Piece, name: str) -> bool:
    """Whether a piece without a name of its own adds something to this global."""
    node = piece.node
    if isinstance(node, ast.Expr):
        heads: list[ast.expr] = [node.value]
    elif isinstance(node, ast.FunctionDef) and node.name == "_":
        heads = node.decorator_list
    else:
        return False
    return any(isinstance(own, ast.Name) and own.id == name for head in heads for own in ast.walk(head))


def _imports_first(modules: Collection[str]) -> list[str]:
    order: dict[str, None] = {}

    def place(module: str) -> None:
        for imported, _ in source(module).own.values():
            if imported in modules and imported not in order and imported != module:
                place(imported)
        order.setdefault(module)

    for module in modules:
        place(module)
    return list(order)


def _choose_names(pieces: Sequence[Piece], preferred: Mapping[Global, str]) -> dict[Global, str]:
    """What each global is called: as it was, unless that is another's name too."""
    every = [(piece.module, name) for piece in pieces for name in piece.names if name != "_"]
    plain = [name for _, name in every]
    names: dict[Global, str] = {}
    for module, name in every:
        if plain.count(name) == 1 or (name in plain and preferred.get((module, name)) == name):
            names[module, name] = name
        else:
            names[module, name] = preferred.get((module, name), _prefixed_name(module, name))
    taken = list(names.values())
    double = [name for name in taken if taken.count(name) > 1]
    if double:
        raise ValueError(f"two things in the file would be called '{double[0]}'")
    return names


def _prefixed_name(module: str, name: str) -> str:
    short = module.rpartition(".")[2]
    if name[:1].isupper():
        return short.title().replace("_", "") + name
    return f"_{short}{name}" if name.startswith("_") else f"{short}_{name}"


def _without_jaxtyping(own: Import) -> Import:
    """Shapes in annotations are for readers: `Annotated` keeps them, and needs nothing but Python."""
    return Import("typing", "Annotated", own.local) if own.module == "jaxtyping" else own


def format_imports(wanted: Collection[Import]) -> str:
    """Import statements, the standard library's first, as ruff orders them."""
    blocks = []
    for standard in (True, False):
        some = [own for own in wanted if (own.module.partition(".")[0] in sys.stdlib_module_names) == standard]
        plain = sorted({(own.module, own.local) for own in some if own.name is None})
        lines = [f"import {m}" if local == m.partition(".")[0] else f"import {m} as {local}" for m, local in plain]
        for module in sorted({own.module for own in some if own.name is not None}):
            names = [own for own in some if own.module == module and own.name is not None]
            renamed = sorted((own.name or "", own.local) for own in names if own.name != own.local)
            bare = sorted((own.local for own in names if own.name == own.local), key=_import_order)
            told = [(name, f"from {module} import {name} as {local}") for name, local in renamed]
            told += [(bare[0], f"from {module} import {', '.join(bare)}")] if bare else []
            lines += [line for _, line in sorted(told, key=lambda own: _import_order(own[0]))]
        blocks.append("\n".join(lines))
    return "\n\n".join(block for block in blocks if block)


def _import_order(name: str) -> tuple[int, str]:
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2), name


def _section_heading(inside: Source, docstring: str, pieces: int) -> str:
    """What a module says of itself, as a comment; only where it comes from, if little of it is here."""
    short = inside.module.rpartition(".")[2]
    if 2 * pieces < len(inside.pieces) or not docstring:
        return ""
    paragraphs = f"{short}: {docstring}".split("\n\n")
    return "#\n".join(map(_as_comment, paragraphs)) + "\n\n"


def _as_comment(paragraph: str) -> str:
    """Text filled anew, as a mark and a space make it wider; tables and formulas, which are indented, as they are."""
    if any(line.startswith(" ") for line in paragraph.splitlines()):
        return "".join(f"#{'' if line.startswith(' ') else ' '}{line}\n" for line in paragraph.splitlines())
    return textwrap.fill(paragraph, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False) + "\n"


def _join_pieces(texts: Sequence[tuple[Piece, str]]) -> str:
    """Definitions with two blank lines between them, constants with none."""
    found = ""
    before: Piece | None = None
    for piece, text in texts:
        if before is not None:
            blocks = any(isinstance(own.node, ast.FunctionDef | ast.ClassDef) for own in (before, piece))
            close = piece.first == before.last + 1
            found += "\n\n\n" if blocks else "\n" if close else "\n\n"
        found += text
        before = piece
    return found
