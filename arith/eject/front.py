"""The class at the head of a file, with what a model does, in this order.

    ids = encoding.ids_of(tokens)                      once for a batch
    x = encoding.embed(x, ids)                         once, at the input
    x = encoding.hidden(x, ids)                        in each layer: to its input,
    q, k = encoding.rotate(q, k, ids)                  to queries and keys,
    terms = encoding.score_terms(ids, ids)             and to the scores

It has only those methods in which the encoding does something.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arith.catalogue.build import GIVEN, SHAPE
from arith.catalogue.entries import ENCODINGS, SCHEMES
from arith.catalogue.settings import arguments_of
from arith.catalogue.spec import Named, PartSpec
from arith.eject.ids import plain_ids, plain_scheme, unmoved, write_head
from arith.eject.sources import WIDTH, Global, module_of, source
from arith.encodings.base import Encoding, LayerEncoding, TableEncoding
from arith.encodings.compose import Composed, indexes_tokens
from arith.encodings.digit_positions import Abacus
from arith.encodings.in_layers import InLayers
from arith.encodings.origins import SPAN
from arith.encodings.positions import Sequential

CLASS = "PositionalEncoding"
IDS_OF = '''
    """Ids of whole sequences, "levels #b n", of each scheme.

    `key` is a random number for each sample; `capacity` tokens are the most that these prompts may grow to.
    """
    return tuple(scheme.full(prompt, tokens, key, capacity) for scheme in self.schemes)'''
X, Q, K = 'x: Float[Tensor, "b n w"]', 'q: Float[Tensor, "b h n d"]', 'k: Float[Tensor, "b g n d"]'
TENSORS = {"x": 'Float[Tensor, "b n w"]', "q, k": 'tuple[Float[Tensor, "b h n d"], Float[Tensor, "b g n d"]]'}


class Front:
    """What is written for one encoding.

    Args:
        parts: of its text.
        composed: the same, built.
        names: what each global is called in the file.
        kernel: whether the file has the Triton kernels.

    Attributes:
        plain: the scheme, if its ids are told by the tokens alone, so that the file needs neither schemes nor prompts.
        acting: for each stage the parts that do something, by their place, and the expression of what does it.
        tables: whether its terms are decided by the ids alone.
    """

    def __init__(
        self, parts: Sequence[PartSpec], composed: Composed, names: Mapping[Global, str], kernel: bool
    ) -> None:
        self.parts, self.composed, self.names, self.kernel = parts, composed, names, kernel
        self.plain = plain_scheme(composed)
        self.acting = {stage: self._acting(stage) for stage in ("embed", "hidden", "rotate", "terms", "taken")}
        self.tables = all(self._is_table(place) for place, _ in self.acting["terms"])

    def explain(self) -> str:
        """What the modules of the encodings say of them: formula and source, unless their classes do."""
        makes = [ENCODINGS.load(part.encoding.name) for part in self.parts]
        makes += [] if self.plain else [SCHEMES.load(part.scheme.name) for part in self.parts]
        notes = {source(module_of(make)).docstring: None for make in makes if "arXiv" not in (make.__doc__ or "")}
        return "".join(f"\n{note}\n" for note in notes)

    def write_class(self) -> str:
        methods = [self._init(), self._ids_of(), self._slide(), self._taken()]
        methods += [self._stage(name) for name in ("embed", "hidden", "rotate")] + [self._score_terms()]
        body = "\n\n".join(method for method in methods if method)
        return (
            f'class {CLASS}(nn.Module):\n    """What a model of this shape learns and does with positions."""\n\n'
            + (textwrap.indent(body, "    "))
        )

    def _init(self) -> str:
        lines: list[str] = []
        schemes: dict[Named, str] = {}
        for spec in [] if self.plain else dict.fromkeys(part.scheme for part in self.parts):
            schemes[spec] = f"self.schemes[{len(schemes)}]"
            lines.append(self._call(SCHEMES.load(spec.name), spec, _facts()))
        if schemes:
            lines = _statement("self.schemes = (", lines, ",)" if len(lines) == 1 else ")")
        parts = []
        for part in self.parts:
            facts = _facts() | _scheme_facts(self.plain or schemes[part.scheme])
            if part.layers is not None:
                facts["layers"] = str(len(part.layers))
            call = self._call(ENCODINGS.load(part.encoding.name), part.encoding, facts)
            parts.append(call if part.layers is None else f"{self._name(InLayers)}({call}, {part.layers})")
        lines += _statement("self.parts = nn.ModuleList([", parts, "])")
        if self.plain and self.plain.cyclic:
            lines.append(f"self.period = {unmoved(self.plain)}")
        text = "\n".join(f"    {line}" for line in ["super().__init__()", *lines])
        self.shape = [name for name in SHAPE if re.search(rf"\b{name}\b(?!=)", text)]
        shape = [f"{name}: int{' = 1024' * (name in ('tokens', 'digits'))}" for name in self.shape]
        return f"def __init__({', '.join(['self', *shape])}) -> None:\n{text}"

    def _ids_of(self) -> str:
        if self.plain is None:
            arguments = ["prompt: Prompt", 'tokens: Int[Tensor, "b n"]', 'key: Int[Tensor, " b"]', "capacity: int"]
            return write_head("ids_of", arguments, "tuple[Tensor, ...]") + IDS_OF
        return plain_ids(self.plain)

    def _slide(self) -> str:
        moves = [bool(getattr(scheme, "slides", False)) for scheme in self.composed.schemes]
        ids = [f"(ids[{n}][0] + loop * ids[{n}][1])[None]" if own else f"ids[{n}]" for n, own in enumerate(moves)]
        head = write_head("slide", [self._ids("ids"), "loop: int"], "tuple[Tensor, ...]")
        return f'{head}\n    """Ids in a loop, counted from 0."""\n    return {", ".join(ids)}' if any(moves) else ""

    def _taken(self) -> str:
        taken = [f"self.parts[{place}].taken({self._positions(place)})" for place, own in self.acting["taken"]]
        if not taken:
            return ""
        lanes = _statement("lanes = [", taken, "]")
        text = "\n".join(
            f"    {line}" for line in [*lanes, "return torch.stack(torch.broadcast_tensors(*lanes), dim=2)"]
        )
        head = write_head("taken", [self._ids("ids")], 'Int[Tensor, "b n lanes"]')
        doc = '    """The tokens that each token takes in the first layer, which looks up; -1: none."""'
        return f"{head}\n{doc}\n{text}"

    def _stage(self, name: str) -> str:
        doc, given = {
            "embed": ("Once, at the input: the embeddings with their positions.", "x"),
            "hidden": ("The input of a layer with positions.", "x"),
            "rotate": ("Queries and keys turned by their positions; while decoding, those of new tokens.", "q, k"),
        }[name]
        acting = self.acting[name]
        if not acting:
            return ""
        calls = [f"{own}.{name}({given}, {self._positions(place)})" for place, own in acting]
        lines = [f"{given} = {call}" for call in calls[:-1]] + [f"return {calls[-1]}"]
        tensors = [X] if given == "x" else [Q, K]
        head = write_head(name, [*tensors, self._ids("ids"), *self.layer(name)], TENSORS[given])
        return "\n".join([head, f'    """{doc}"""', *(f"    {line}" for line in lines)])

    def _score_terms(self) -> str:
        acting = self.acting["terms"]
        if not acting:
            return ""
        calls = []
        for place, own in acting:
            if self._is_table(place):
                level = "" if self.plain else f"[{self.composed.which[place]}][0]"
                calls.append(f"{own}.term(Ids(q_ids{level}, k_ids{level}{self._index(place)}))")
            else:
                memory = "memory" if len(acting) == 1 else f'memory.setdefault("{place}", {{}})'
                calls.append(f"*{own}.terms(x, q, k, {self._positions(place, 'q_ids', 'k_ids')}, {memory})")
        doc = ["What is added to the scores, for `attention`: by the ids of queries and keys."]
        arguments = [self._ids("q_ids"), self._ids("k_ids"), *self.layer("terms")]
        if not self.tables:
            arguments = [X, Q, K, *arguments[:2], "memory: dict[str, Any]", *arguments[2:]]
            doc = [
                "What is added to the scores, for `attention`: queries are the last of the tokens of k.",
                "",
                "`memory` is a layer's, empty at first: what it keeps while decoding.",
            ]
        lines = _statement("return (", calls, ",)" if len(calls) == 1 else ")")
        told = [f'"""{doc[0]}"""'] if len(doc) == 1 else [f'"""{doc[0]}', *doc[1:], '"""']
        head = write_head("score_terms", arguments, "tuple[Any, ...]")
        return "\n".join([head, *(f"    {line}" if line else "" for line in [*told, *lines])])

    def _acting(self, stage: str) -> list[tuple[int, str]]:
        """The parts that do something at a stage, each with the expression of what does it in a layer."""
        found = []
        for place, part in enumerate(self.composed.parts):
            assert isinstance(part, Encoding)
            per_layer = type(part).at is not Encoding.at
            inside = {type(own) for own in self._layers(part)}
            base = Encoding if stage == "embed" else LayerEncoding
            for kind in [type(part)] if stage == "embed" else inside:
                if getattr(kind, stage) is not getattr(base, stage):
                    found.append((place, f"self.parts[{place}]" + (".at(layer)" * (per_layer and stage != "embed"))))
                    break
        return found

    def _layers(self, part: Encoding) -> list[LayerEncoding]:
        return [part.at(layer) for layer in range(1 + max(part.in_layers or (1,)))]

    def _is_table(self, place: int) -> bool:
        part = self.composed.parts[place]
        assert isinstance(part, Encoding)
        return all(
            isinstance(own, TableEncoding) and type(own).terms is TableEncoding.terms for own in self._layers(part)
        )

    def layer(self, stage: str) -> list[str]:
        """The argument of a stage whose layers differ."""
        return ["layer: int"] if any(own.endswith(".at(layer)") for _, own in self.acting[stage]) else []

    def _ids(self, name: str) -> str:
        return f"{name}: " + ('Int[Tensor, "#b n"]' if self.plain else "tuple[Tensor, ...]")

    def _positions(self, place: int, q: str = "ids", k: str = "ids") -> str:
        own = "[None]" if self.plain else f"[{self.composed.which[place]}]"
        return f"Positions({q}{own}, {k}{own}{self._index(place)})"

    def _index(self, place: int) -> str:
        """What tells kernels that ids index tokens."""
        scheme = self.composed.schemes[self.composed.which[place]]
        return ", True" if self.kernel and indexes_tokens(scheme) else ""

    def _name(self, thing: Any) -> str:
        return self.names.get((module_of(thing), thing.__name__), thing.__name__)

    def _call(self, make: Callable[..., object], named: Named, facts: Mapping[str, str]) -> str:
        """A constructor's call, with what is not its default."""
        arguments = arguments_of(make, named, "encoding", facts, GIVEN if "highest" in facts else SHAPE)
        settings, defaults = dict(named.settings), inspect.signature(make).parameters
        # A setting may bear the name of a fact, such as digits, and then is a value, not an expression.
        items = {
            key: value if key in facts and key not in settings else _literal(value) for key, value in arguments.items()
        }
        given = [f"{key}={text}" for key, text in items.items() if text != _literal(defaults[key].default)]
        return f"{self._name(make)}({', '.join(given)})"


def _facts() -> dict[str, str]:
    """The expressions of what constructors ask for, but for the settings."""
    return {name: name for name in SHAPE} | {"head_width": "width // heads"}


def _scheme_facts(scheme: Sequential | Abacus | str) -> dict[str, str]:
    """Arguments that encodings get from their scheme, or from the expression that a file has for it."""
    if isinstance(scheme, str):
        facts = {"highest": f"{scheme}.highest(tokens, digits)"}
        return facts | {name: f"{scheme}.{name}" for name in ("levels", "resolution")}
    further = f" + {(scheme.span or SPAN) - 1}" if scheme.origin == "random" else ""
    return {"highest": unmoved(scheme) + further, "levels": "1", "resolution": "1"}


def _statement(head: str, items: Sequence[str], tail: str) -> list[str]:
    """On one line, or an item a line, as ruff would break it."""
    line = f"{head}{', '.join(items)}{tail}"
    if len(line) <= WIDTH - 8:
        return [line]
    if head.endswith("(["):  # a list as the only argument
        return [head[:-1], "    [", *(f"        {item}," for item in items), "    ]", ")"]
    return [head, *(f"    {item}," for item in items), tail.lstrip(",")]


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
