"""The little language of encodings: `rope`, `t5:buckets=64`, `learned@coupled`, `(relative+window:left=1)@abacus`.

    sum      = part { "+" part }
    part     = ( name [ settings ] | "(" sum ")" ) [ "@" name [ settings ] ] [ "[" range { "," range } "]" ]
    settings = ":" key "=" value { "," key "=" value }
    range    = layer [ "-" layer ]

`a@s` puts an encoding on a position scheme, `a+b` lets two encodings act together, `a[0,2]` acts in the first layer and
the third alone. A part without a scheme is on sequential ids, one without layers in all of them. Parsing imports no
encoding: whether a name exists is looked up in the catalogue.
"""

# "@" binds tighter than "+", as a scheme belongs to one encoding: in `t5+learned@coupled`, t5 stays on sequential ids.
# Parentheses put several on one scheme, and those then share its draw. Only signs that a shell passes on unquoted, but
# for parentheses and brackets, and none that TOML or JSON must escape: recipes, run.json and results hold the text.

import re
from dataclasses import dataclass, field, replace

from arith.catalogue.entries import ALIASES, ENCODINGS, SCHEMES
from arith.errors import UsageError

# A word is a name or a value. Numbers as Python prints them come first, or the "+" of 1e+06 would join two parts.
_TOKEN = re.compile(r"\s*(?:(?P<word>-?[0-9.]+[eE]\+[0-9]+|[A-Za-z0-9_.\-]+)|(?P<sign>[+@:=,()\[\]]))")
_DEEPEST = 50  # nested parentheses: a refusal in words, before Python's own limit of recursion
_SHOWN = 120  # characters that a message quotes


@dataclass(frozen=True)
class Named:
    """A name with its settings, both as text: which type a value has, only the constructor knows."""

    name: str
    settings: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.name + (":" if self.settings else "") + ",".join(f"{key}={value}" for key, value in self.settings)


SEQUENTIAL = Named("sequential")


@dataclass(frozen=True)
class PartSpec:
    """An encoding on a position scheme.

    Args:
        layers: those that it acts in, from 0 on; None: in all.
    """

    encoding: Named
    scheme: Named = SEQUENTIAL
    layers: tuple[int, ...] | None = None

    def __str__(self) -> str:
        # `rope`, not `rope@sequential`: one way to write a part, so that equal encodings have equal names in results.
        text = str(self.encoding) if self.scheme == SEQUENTIAL else f"{self.encoding}@{self.scheme}"
        return text if self.layers is None else f"{text}[{_ranges(self.layers)}]"


def _ranges(layers: tuple[int, ...]) -> str:
    """Write layers as they can be parsed.

    >>> _ranges((0, 1, 2, 4))
    '0-2,4'
    """
    begins = [layer for layer in layers if layer - 1 not in layers]
    ends = [layer for layer in layers if layer + 1 not in layers]
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(begins, ends, strict=True))


def parse(text: str, also: str | None = None) -> tuple[PartSpec, ...]:
    """Parse an encoding into its parts, with aliases written out.

    Args:
        text: the text.
        also: a name that is accepted as an encoding's without being in the catalogue.

    Raises:
        UsageError: the text is not of the language, or a name is unknown.

    >>> [str(part) for part in parse("t5:buckets=64+abacus")]
    ['t5:buckets=64', 'learned@abacus:origin=cyclic']
    >>> [str(part) for part in parse("(rope+t5)[0,1,2]+nope[3]")]
    ['rope[0-2]', 't5[0-2]', 'nope[3]']
    """
    parser = _Parser(text, also=also)
    parts = parser.sum()
    if parser.place < len(parser.tokens):
        raise parser.error(f"'{parser.tokens[parser.place]}' is not expected")
    return tuple(PartSpec(part.encoding, part.scheme or SEQUENTIAL, part.layers) for part in parts)


def parse_name(text: str, what: str) -> Named:
    """Parse one name with its settings.

    Args:
        text: the text.
        what: what is named, for messages.

    >>> parse_name("addition:operands=3", "a task")
    Named(name='addition', settings=(('operands', '3'),))
    """
    parser = _Parser(text, example="addition or addition:operands=3")
    named = parser.name(what)
    if parser.place < len(parser.tokens):
        raise parser.error(f"'{parser.tokens[parser.place]}' is not expected")
    return named


def parse_sum(text: str, what: str, example: str) -> list[Named]:
    """Parse names with their settings that plus signs join.

    Args:
        text: the text.
        what: what is named, for messages.
        example: a correct text, which messages show.

    >>> [named.name for named in parse_sum("padded:width=5+hints", "a format", "plain")]
    ['padded', 'hints']
    """
    parser = _Parser(text, example=example)
    found = [parser.name(what)]
    while parser.take("+"):
        found.append(parser.name(f"what is added to {what}"))
    if parser.place < len(parser.tokens):
        raise parser.error(f"'{parser.tokens[parser.place]}' is not expected")
    return found


@dataclass(frozen=True)
class _Open:
    """A part whose scheme and layers, while they are None, what stands behind a ")" may still give."""

    encoding: Named
    scheme: Named | None = None
    layers: tuple[int, ...] | None = None


_EXAMPLE = "rope, t5:buckets=64, t5+abacus, rope[0-2] or (relative:radius=1+window:left=1,right=1)@coupled"


@dataclass
class _Parser:
    """A recursive descent parser, one method for each rule of the grammar."""

    text: str
    place: int = 0
    tokens: list[str] = field(default_factory=list)
    example: str = _EXAMPLE
    also: str | None = None
    depth: int = 0

    def __post_init__(self) -> None:
        end = 0
        stripped = self.text.rstrip()
        while end < len(stripped):
            match = _TOKEN.match(stripped, end)
            if match is None:
                raise self.error(f"'{stripped[end:].strip()[0]}' is no part of the language")
            self.tokens.append(match["word"] or match["sign"])
            end = match.end()

    def error(self, what: str) -> UsageError:
        shown = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}..."
        return UsageError(f"'{shown}' cannot be read: {what}.\nWrite for example {self.example}")

    def peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self, sign: str) -> bool:
        if self.peek() != sign:
            return False
        self.place += 1
        return True

    def word(self, what: str) -> str:
        token = self.peek()
        if not token or token in "+@:=,()[]":
            raise self.error(f"{what} is expected, not '{token}'" if token else f"{what} is missing at the end")
        self.place += 1
        return token

    def sum(self) -> list[_Open]:
        parts = self.part()
        while self.take("+"):
            parts += self.part()
        return parts

    def part(self) -> list[_Open]:
        if self.take("("):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self.error(f"more than {_DEEPEST} parentheses stand inside one another")
            parts = self.sum()
            self.depth -= 1
            if not self.take(")"):
                raise self.error("')' is missing")
        else:
            parts = self.single_part()
        if self.take("@"):
            parts = self.on_scheme(parts)
        return self.in_layers(parts) if self.take("[") else parts

    def on_scheme(self, parts: list[_Open]) -> list[_Open]:
        scheme = self.name("a position scheme")
        if not SCHEMES.has(scheme.name) and (scheme.name in ALIASES or ENCODINGS.has(scheme.name)):
            raise self.error(f"'{scheme.name}' is an encoding, and after '@' stands a position scheme")
        SCHEMES.check(scheme.name)
        # `(a@s+b)@t`: b could go on t, but who writes this most likely expects a on t as well.
        earlier = [part.scheme for part in parts if part.scheme is not None]
        if earlier:
            raise self.error(f"it puts on '{scheme}' what is on '{earlier[0]}' already")
        return [replace(part, scheme=scheme) for part in parts]

    def in_layers(self, parts: list[_Open]) -> list[_Open]:
        layers = self.range()
        while self.take(","):
            layers |= self.range()
        if not self.take("]"):
            raise self.error("']' is missing")
        earlier = [part.layers for part in parts if part.layers is not None]
        if earlier:
            raise self.error(f"it puts in layers {_ranges(tuple(sorted(layers)))} what is in {_ranges(earlier[0])}")
        return [replace(part, layers=tuple(sorted(layers))) for part in parts]

    def range(self) -> set[int]:
        text = self.word("a layer, or a range such as 0-3,")
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", text)
        if match is None or int(match[1]) > int(match[2] or match[1]):
            raise self.error(f"layers are numbers from 0 on, or ranges such as 0-3, not '{text}'")
        return set(range(int(match[1]), int(match[2] or match[1]) + 1))

    def single_part(self) -> list[_Open]:
        named = self.name("an encoding")
        if named.name == self.also:
            return [_Open(named)]
        if named.name not in ALIASES:
            if named.name == "own" and not ENCODINGS.has("own"):
                raise self.error(
                    "'own' stands for the positions that a pretrained model has: there is one in arith.hf.attach and "
                    "arith train --init hf:FOLDER alone"
                )
            if not ENCODINGS.has(named.name) and SCHEMES.has(named.name):
                raise self.error(f"'{named.name}' is a position scheme: write rope@{named.name}")
            ENCODINGS.check(named.name)
            return [_Open(named)]
        # An alias is parsed in its place, as if it stood in parentheses: `abacus+t5`, `t5+abacus`.
        meaning = ALIASES[named.name][0]
        if named.settings:
            raise self.error(f"'{named.name}' stands for {meaning}; write that out to change a setting")
        return _Parser(meaning).sum()

    def name(self, what: str) -> Named:
        name = self.word(what)
        settings: list[tuple[str, str]] = []
        if self.take(":"):
            settings.append(self.setting())
            while self.take(","):
                settings.append(self.setting())
        # The last one does not silently win, as it would in a dict.
        keys = [key for key, _ in settings]
        for key in keys:
            if keys.count(key) > 1:
                raise self.error(f"'{name}' is given '{key}' {keys.count(key)} times")
        return Named(name, tuple(settings))

    def setting(self) -> tuple[str, str]:
        key = self.word("the name of a setting")
        if not self.take("="):
            raise self.error(f"'=' and a value are missing after '{key}'")
        return key, self.word(f"a value for '{key}'")
