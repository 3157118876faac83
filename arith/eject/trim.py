"""Leaves out of a file what it does not use: definitions and members that nothing refers to, and checks of settings.

Members are told by their names alone: a method stays if any object is asked for one of its name. So whatever is left
out is not used, and what stays may be more than is. Rules are applied until none finds anything: what only a removed
thing used goes next.
"""

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from torch import nn

from arith.eject.docstrings import SECTIONS, shorten_docstrings
from arith.eject.sources import Edit, apply

TORCH_CALLS = set(dir(nn.Module)) - {"extra_repr"}  # methods that torch looks for
Placed = ast.stmt | ast.expr | ast.pattern
Definition = ast.FunctionDef | ast.ClassDef


def trim(text: str, roots: Collection[str]) -> str:
    """The text of a module without what its roots do not need, its docstrings without lists of arguments.

    Args:
        roots: names that stay, classes with all their methods.

    >>> print(trim("def f():\\n    return 1\\n\\n\\ndef g():\\n    return 2\\n", {"g"}))
    def g():
        return 2
    """
    before = ""
    while text != before:
        before, file = text, File(text, roots)
        text = file.without([node for rule in RULES for node in rule(file)])
        text = _shorten_unions(_merge_bases(text))
    text = shorten_docstrings(text, SECTIONS)
    text = re.sub(r"\n{3,}(?=[ \t])", "\n\n", re.sub(r"\n{4,}", "\n\n\n", text))
    return re.sub(r"(:\n)\n+(?=[ \t]+\S)", r"\1", text).strip("\n")


class File:
    """A module's text, and what its parts are called by.

    Args:
        text: of the module.
        roots: names that stay.

    Attributes:
        read: names of attributes that any object is asked for.
        made: what is called, and so are classes that have objects.
        passed: names of arguments that any call gives.
        inherited: names of methods that any class asks its bases for.
    """

    def __init__(self, text: str, roots: Collection[str]) -> None:
        self.text, self.tree, self.roots = text, ast.parse(text), roots
        nodes = list(ast.walk(self.tree))
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        self.classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        self.named = {owner.name: owner for owner in self.classes}
        self.functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        self.read = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
        self.read |= {own for call in calls for own in _texts(call) if _name(call.func) in ("getattr", "hasattr")}
        self.made = {_name(call.func) for call in calls}
        self.inherited = {
            own.attr for own in nodes if isinstance(own, ast.Attribute) and ast.unparse(own.value) == "super()"
        }
        self.passed = {keyword.arg for call in calls for keyword in call.keywords}

    def users(self, name: str, besides: ast.AST) -> bool:
        """Whether a global is referred to anywhere but inside one statement."""
        return any(
            isinstance(node, ast.Name) and node.id == name
            for statement in self.tree.body
            if statement is not besides
            for node in ast.walk(statement)
        )

    def without(self, nodes: Sequence[ast.AST]) -> str:
        """The text without some statements and cases, comments right above them, and blocks that would be empty."""
        gone = {id(node) for node in nodes}
        lines = self.text.split("\n")
        numbers: set[int] = set()
        for node in _outermost(self.tree, gone):
            # A case has no place of its own; a definition begins, to a tree, behind its decorators.
            inner = [node.pattern, *node.body] if isinstance(node, ast.match_case) else [node]
            parts = [*inner, *getattr(node, "decorator_list", [])]
            first = min(own.lineno for own in parts if isinstance(own, Placed))
            while lines[first - 2].lstrip().startswith("#"):
                first -= 1
            numbers |= {*range(first, max(own.end_lineno or 0 for own in parts if isinstance(own, Placed)) + 1)}
        for owner in self.classes:
            last = owner.body[-1]
            if all(id(own) in gone for own in owner.body):  # not even a docstring is left
                lines[(last.end_lineno or 0) - 1] = " " * last.col_offset + "pass"
                numbers.discard(last.end_lineno or 0)
        return "\n".join(line for number, line in enumerate(lines, 1) if number not in numbers)


def _name(node: ast.AST) -> str:
    """The last part of a dotted name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _texts(call: ast.Call) -> Iterator[str]:
    return (own.value for own in call.args if isinstance(own, ast.Constant) and isinstance(own.value, str))


def _outermost(node: ast.AST, gone: set[int]) -> Iterator[ast.AST]:
    """Statements to remove, and those of which nothing would be left; none inside another."""
    for child in ast.iter_child_nodes(node):
        if id(child) in gone or _is_emptied(child, gone):
            yield child
        elif not (isinstance(child, ast.If) and child.orelse):  # what is left of two branches would need another form
            yield from _outermost(child, gone)


def _is_emptied(node: ast.AST, gone: set[int]) -> bool:
    block = getattr(node, "cases", None) or getattr(node, "body", None)
    if not isinstance(block, list) or isinstance(node, ast.ClassDef | ast.Module) or getattr(node, "orelse", None):
        return False
    left = [own for own in block if id(own) not in gone and not _is_emptied(own, gone)]
    return len(left) < len(block) and all(map(_is_text, left))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _find_checks(file: File) -> Iterator[ast.AST]:
    """Checks of settings, which are known to be right: statements of constructors that can only raise; assertions."""
    for function in file.functions:
        for node in ast.walk(function):
            asserts = isinstance(node, ast.Assert)
            if asserts or (function.name in ("__init__", "__post_init__") and _only_raises(node)):
                yield node
        # What only messages looked at.
        read = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        for node in function.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]) if name not in read:
                    if not any(isinstance(own, ast.Call) for own in ast.walk(node)):
                        yield node


def _only_raises(node: ast.AST) -> bool:
    if isinstance(node, ast.If | ast.For):
        # What an `if` assigns before it raises, it does for the message.
        ends = isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise)
        return not node.orelse and (ends or all(map(_only_raises, node.body)))
    return isinstance(node, ast.Raise) or (isinstance(node, ast.Assign) and _name(node.targets[0]) == "_")


def _find_globals(file: File) -> Iterator[ast.stmt]:
    for node in file.tree.body:
        names = [node.name] if isinstance(node, Definition) else [_name(own) for own in getattr(node, "targets", [])]
        if names and not any(name in file.roots or file.users(name, node) for name in names):
            yield node


def _find_members(file: File) -> Iterator[ast.AST]:
    """Methods, attributes of classes and of objects that nothing asks for."""
    for owner in file.classes:
        kind = {_name(own.func if isinstance(own, ast.Call) else own) for own in [*owner.decorator_list, *owner.bases]}
        fields = [node for node in owner.body if isinstance(node, ast.AnnAssign)]
        for node in owner.body:
            match node:
                case ast.FunctionDef(name=name):
                    abstract = "abstractmethod" in map(_name, node.decorator_list)
                    used = name in file.read or name in TORCH_CALLS or name.startswith("__") or owner.name in file.roots
                    if abstract or name == "extra_repr" or not used:
                        yield node
                case ast.Assign(targets=[ast.Name(id=name)]) if name not in file.read:
                    yield node
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()) if name not in file.read:
                    # Of a dataclass the last alone, which nobody can pass by its place.
                    if not kind & {"dataclass", "NamedTuple"} or (node is fields[-1] and name not in file.passed):
                        yield node
    for statement in ast.walk(file.tree):
        match statement:
            # A plain value alone: modules and parameters are known to torch, whoever asks for them.
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Name()):
                if name not in file.read:
                    yield statement


def _find_overridden(file: File) -> Iterator[ast.stmt]:
    """Members of a base that all classes with objects have of their own."""
    own = {owner.name: set(_members(owner)) for owner in file.classes}
    line = {name: {name, *_above(name, file.named)} & own.keys() for name in own}
    for owner in file.classes:
        heirs = [name for name in own if name in file.made and owner.name in line[name]]
        if owner.name in heirs or not heirs:
            continue
        for node in owner.body:
            name = node.name if isinstance(node, ast.FunctionDef) else _name(getattr(node, "target", node))
            between = [{one for one in line[heir] if owner.name in line[one] and one != owner.name} for heir in heirs]
            if name not in file.inherited and all(any(name in own[one] for one in ones) for ones in between):
                yield node


def _find_super(file: File) -> Iterator[ast.stmt]:
    """Calls of a base's method that is left out."""
    own = {owner.name: set(_members(owner)) for owner in file.classes}
    for owner in file.classes:
        inherited = TORCH_CALLS.union(*(own.get(base, set()) for base in _above(owner.name, file.named)))
        for node in ast.walk(owner):
            match node:
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name))):
                    if name not in inherited:
                        yield node


def _members(owner: ast.ClassDef) -> Iterator[str]:
    """What a class has of its own, what its methods give to `self` included."""
    for node in ast.walk(owner):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            yield _name(node)


def _find_terms(file: File) -> Iterator[ast.AST]:
    """Cases of classes that have no objects."""
    unmade = file.named.keys() - file.made
    for node in ast.walk(file.tree):
        match node:
            case ast.match_case(pattern=ast.MatchClass(cls=ast.Name(id=name))) if name in unmade:
                yield node


RULES: tuple[Callable[[File], Iterator[ast.AST]], ...] = (
    _find_checks,
    _find_globals,
    _find_members,
    _find_overridden,
    _find_super,
    _find_terms,
)


def _edit(text: str, edits: Sequence[tuple[ast.expr, ast.expr, str]]) -> str:
    """A text with other expressions from the first to the last of two."""
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    spans: list[Edit] = [
        (
            starts[first.lineno - 1] + first.col_offset,
            starts[(last.end_lineno or 0) - 1] + (last.end_col_offset or 0),
            new.encode(),
        )
        for first, last, new in edits
    ]
    return apply(text.encode(), spans).decode()


def _merge_bases(text: str) -> str:
    """Classes that derive from an empty one derive from its bases, where it is nothing but a base."""
    tree = ast.parse(text)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    bases = {id(base) for owner in classes.values() for base in owner.bases}
    others = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in bases}
    empty = {name for name, node in classes.items() if all(map(_is_text, node.body)) and name not in others}
    edits = []
    for owner in classes.values():
        if empty & set(map(_name, owner.bases)) or "ABC" in map(_name, owner.bases[:-1]):
            new: dict[str, None] = {}
            for base in owner.bases:
                for own in classes[_name(base)].bases if _name(base) in empty else [base]:
                    new.setdefault(ast.unparse(own))
            if len(new) > 1:
                new.pop("ABC", None)
            # What another base derives from is a base anyhow, and may not stand before it.
            for above in [above for own in new for above in _above(own, classes)]:
                new.pop(above, None)
            edits.append((owner.bases[0], owner.bases[-1], ", ".join(new)))
    return re.sub(r"^(class \w+)\((ABC)?\):", r"\1:", _edit(text, edits), flags=re.M)


def _above(name: str, classes: Mapping[str, ast.ClassDef]) -> set[str]:
    """All bases of a class, and theirs."""
    bases = set(map(ast.unparse, classes[name].bases)) if name in classes else set()
    return bases.union(*(_above(base, classes) for base in bases))


def _shorten_unions(text: str) -> str:
    """`A | B | C` without classes that have no objects."""
    file = File(text, ())
    edits = []
    for node in file.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            names = ast.unparse(node.value).split(" | ")
            made = [name for name in names if name in file.made or name not in file.named]
            if 0 < len(made) < len(names):
                edits.append((node.value, node.value, " | ".join(made)))
    return _edit(text, edits)
