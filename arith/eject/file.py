"""An encoding as one file to take along: its code, its scheme's, and attention's, on torch alone."""

import re
import textwrap
import zlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar, get_args

import arith
from arith.catalogue.build import GIVEN, SHAPE, encoding
from arith.catalogue.entries import ENCODINGS, SCHEMES
from arith.catalogue.examples import example
from arith.catalogue.settings import arguments_of
from arith.catalogue.spec import Named, PartSpec, parse
from arith.eject.bundle import WIDTH, Bundle
from arith.eject.cuts import OP_MODULE, choose_cuts, drop_broken_examples
from arith.eject.sources import Global, Import, module_of
from arith.encodings.in_layers import InLayers
from arith.errors import UsageError
from arith.kernels.terms import Term, Window

OP: Global = (OP_MODULE, "attention")
REFERENCE: Global = ("arith.kernels.reference", "attention")
# What a user of the file needs beside the encoding, for the arguments of its methods.
ALWAYS: tuple[Global, ...] = (
    ("arith.encodings.positions", "Kind"),
    ("arith.encodings.positions", "TokenTable"),
    ("arith.encodings.positions", "Prompt"),
    ("arith.encodings.base", "Positions"),
    ("arith.encodings.compose", "Part"),
    ("arith.encodings.compose", "Composed"),
)
# Names that two modules share. Where one is not listed, it gets its module's name before its own.
PREFERRED: dict[Global, str] = {
    OP: "attention",
    REFERENCE: "plain_attention",
    ("arith.kernels.short_op", "attention"): "fused_attention",
    # The longer name where it stands in shorter lines.
    ("arith.kernels.shearing", "asked_scores"): "asked_scores",
    ("arith.kernels.short_scores", "asked_scores"): "short_asked_scores",
    ("arith.kernels.short_scores", "products"): "short_products",
    ("arith.kernels.long_learned", "_constants"): "_constants",
    ("arith.kernels.terms", "Window"): "WindowTerm",
    ("arith.encodings.window", "Window"): "Window",
    ("arith.kernels.terms", "Ids"): "Ids",
    ("arith.encodings.compose", "Ids"): "SchemeIds",
    ("arith.encodings.biases", "ALiBi"): "ALiBi",
    ("arith.encodings.dape", "ALiBi"): "ALiBiBase",
}
INDENT = 4
LONGEST_NAME = 31  # of an identifier, with 5 characters of a hash at its end if the text is longer
# The shape of the model with which a text is tried, and of the file's demonstration.
TRIED = {"width": 64, "heads": 4, "layers": 2, "tokens": 64, "digits": 8}


def eject(text: str, kernel: bool = False) -> str:
    """The file of an encoding, as its text. The room's docstring has the steps.

    Args:
        text: the encoding, see `arith.catalogue.spec`; a bare name that needs a setting gets the gallery's example.
        kernel: whether the file has the Triton kernels, and so needs triton too.

    Raises:
        UsageError: the text cannot be read, or its parts do not go together.

    >>> eject("rope").splitlines()[0].strip('"')
    'Positional encoding rope, and attention with it, in one file.'
    """
    text = _complete(text)
    parts = parse(text)
    encodings = [ENCODINGS.load(part.encoding.name) for part in parts]
    schemes = [SCHEMES.load(part.scheme.name) for part in parts]
    hybrid = [InLayers] if any(part.layers is not None for part in parts) else []
    named = [(module_of(thing), thing.__name__) for thing in dict.fromkeys((*encodings, *schemes, *hybrid))]
    # Attention first, then positions, then what the text names: a reader meets what is used before what uses it.
    roots = [OP, *([] if kernel else [REFERENCE]), *ALWAYS, *named]
    unused = frozenset[str]()
    if not kernel:
        # A term that nothing calls is made nowhere. The plain path hides keys whether an encoding does or not, so that
        # `Window` is never left out. Kernels are compiled with branches for all terms, and keep them.
        terms = {(module_of(term), term.__name__) for term in get_args(Term) if term is not Window}
        whole = Bundle.of(roots, PREFERRED, choose_cuts(kernel, unused))
        unused = frozenset(name for _, name in terms - whole.calls_among(terms))
    bundle = Bundle.of(roots, PREFERRED, choose_cuts(kernel, unused))
    body = "\n\n\n".join(section.rstrip("\n") for section in bundle.sections())
    factory = _factory(parts, bundle)
    imports = bundle.imports([Import("torch", None, "torch")])
    # Blank lines before a comment and before code, as ruff leaves them.
    after_imports = "\n\n" if body.startswith("#") else "\n\n\n"
    code = imports + after_imports + "\n\n\n".join([body, factory, DEMONSTRATION])
    file = f"{_header(text, kernel)}\n\n{code}\n"
    # Docstrings that point to a module of arith: its notes are a comment of the file.
    file = re.sub(r"`arith\.\w+\.(\w+)`", r"the notes on \1", file)
    # torch knows its operators by name, once a process: a program may import both arith and the file.
    file = file.replace('"arith::', f'"{identifier(text)}::')
    return drop_broken_examples(file)


ejected = eject  # the name by which the documentation and the notebook import it


def identifier(text: str) -> str:
    """A short name for an encoding, as Python's own are.

    >>> identifier("t5:buckets=8@coupled"), identifier("learned@abacus:origin=random,span=5+rope")
    ('t5_buckets_8_coupled', 'learned_abacus_origin_rand_a926')
    """
    whole = re.sub(r"\W+", "_", text).strip("_").lower()
    if len(whole) <= LONGEST_NAME:
        return whole
    return f"{whole[: LONGEST_NAME - 5]}_{zlib.crc32(text.encode()) % 65536:04x}"


def _complete(text: str) -> str:
    """The same, or the gallery's example of a bare name that cannot be without settings."""
    enough = max(TRIED["layers"], *(1 + part.layers[-1] for part in parse(text) if part.layers is not None), 0)
    tried = TRIED | {"layers": enough}
    try:
        encoding(text, **tried)
    except UsageError:
        if text not in ENCODINGS.names() or example(text) == text:
            raise
        text = example(text)
        encoding(text, **tried)
    return text


def _header(text: str, kernel: bool) -> str:
    resolved = "+".join(map(str, parse(text)))  # aliases and defaults written out
    meaning = "" if resolved == text else f"\n    {text} = {resolved}\n"
    if any(len(line) > WIDTH for line in meaning.splitlines()):
        meaning = f"\n    {text} =\n        " + resolved.replace("+", "\n        +") + "\n"
    needs = "torch and triton" if kernel else "torch alone"
    # A shell would read parentheses and brackets as its own.
    command = f"arith eject '{text}'" if re.search(r"[()\[\]]", text) else f"arith eject {text}"
    origin = (
        f"Made by `{command}{' --kernel' if kernel else ''}` of arith {arith.__version__}. It needs {needs}. Licence: "
        f"Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0. Run as a program it shows the ids of an addition."
    )
    title = f"Positional encoding {text}, and attention with it, in one file."
    # Three quotation marks stand before it on its line.
    if len(title) + 3 > WIDTH:
        title = "A positional encoding, and attention with it, in one file."
    return f'''"""{title}
{meaning}
{textwrap.fill(origin, WIDTH)}

In a model of yours, with tokens "b n", their embeddings x "b n width" and a prompt (see `Prompt`):

    encoding = make_encoding(width=64, heads=4, layers=2)            # a module of your model
    ids = encoding.full(prompt, tokens, key, capacity=128)           # once for a batch
    positions = encoding.place(ids)
    x = encoding.embed(x, positions)                                 # once, at the input
    layer = encoding.at(0)                                           # in each layer: what it adds to its input,
    x = layer.hidden(x, positions)                                   # to queries and keys, and to the scores
    q, k = layer.rotate(q, k, positions)
    out = attention(q, k, v, terms=layer.terms(x, q, k, positions, memory={{}}))

Letters of shapes: b batch, n sequence, h heads, g key/value heads, d head width, q/k query and key positions, w width.
"""'''


def _factory(parts: tuple[PartSpec, ...], bundle: Bundle) -> str:
    """The function that makes the encoding, its settings written out."""
    schemes, encodings = _variables([part.scheme for part in parts], "scheme"), _variables(parts, "part")
    lines = []
    for scheme, variable in schemes.items():
        name, arguments = _call(SCHEMES.load(scheme.name), scheme, "position scheme", bundle, _facts(None))
        lines += _statement(f"{variable} = {name}(", arguments, ")")
    for part, variable in encodings.items():
        facts = _facts(schemes[part.scheme])
        if part.layers is not None:
            facts["layers"] = str(len(part.layers))
        name, arguments = _call(ENCODINGS.load(part.encoding.name), part.encoding, "encoding", bundle, facts)
        lines += _statement(f"{variable} = {name}(", arguments, ")")
        if part.layers is not None:
            hybrid = bundle.names[module_of(InLayers), InLayers.__name__]
            lines.append(f"{variable} = {hybrid}({variable}, {part.layers})")
    pairs = [f"Part({encodings[part]}, {schemes[part.scheme]})" for part in parts]
    lines += _statement("return Composed([", pairs, "])")
    body = "\n".join(f"    {line}" for line in lines)
    return f"{FACTORY}\n{body}"


Spec = TypeVar("Spec", bound=Hashable)


def _variables(specs: Sequence[Spec], name: str) -> dict[Spec, str]:
    """A variable for each of several things, one for those that are equal: parts of one scheme share its draw."""
    distinct = list(dict.fromkeys(specs))
    return {spec: name if len(distinct) == 1 else f"{name}_{place}" for place, spec in enumerate(distinct, 1)}


def _facts(scheme: str | None) -> dict[str, str]:
    """The expressions by which the factory passes a constructor its arguments, but for the settings.

    Args:
        scheme: the variable that holds an encoding's scheme; None for a scheme itself.
    """
    facts = {name: name for name in SHAPE} | {"head_width": "width // heads"}
    if scheme is not None:
        facts |= {"highest": f"{scheme}.highest(tokens, digits)"}
        facts |= {"levels": f"{scheme}.levels", "resolution": f"{scheme}.resolution"}
    return facts


def _statement(head: str, items: Sequence[str], tail: str) -> list[str]:
    """On one line, or an item a line, as ruff would break it.

    Args:
        head: the text up to the items.
        items: what is separated by commas.
        tail: the closing brackets: `)`, or `])` of a call whose only argument is a list.
    """
    line = f"{head}{', '.join(items)}{tail}"
    if len(line) <= WIDTH - INDENT:
        return [line]
    if tail == ")":
        return [head, *(f"    {item}," for item in items), tail]
    return [head[:-1], "    [", *(f"        {item}," for item in items), "    ]", ")"]


def _call(
    make: Callable[..., object], named: Named, kind: str, bundle: Bundle, facts: Mapping[str, str]
) -> tuple[str, list[str]]:
    """A constructor and its arguments as they are written."""
    arguments = arguments_of(make, named, kind, facts, GIVEN if kind == "encoding" else SHAPE)
    settings = {key for key, _ in named.settings}
    # A setting may bear the name of a fact, such as digits, and then is a value, not an expression.
    items = [
        f"{key}={value if key in facts and key not in settings else _literal(value)}"
        for key, value in arguments.items()
    ]
    return bundle.names[module_of(make), make.__name__], items


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


# The two texts below are written into files, and are no code of this module. Their names are those that files have.
FACTORY = '''\
def make_encoding(width: int, heads: int, layers: int, tokens: int = 1024, digits: int | None = None) -> Composed:
    """The encoding for a model of this shape.

    Args:
        width, heads, layers: of the model.
        tokens: of the longest sequence it will see; a table of positions gets the rows for it.
        digits: of the longest number it will see; `tokens` if not given.
    """
    digits = tokens if digits is None else digits'''

DEMONSTRATION = '''def demonstration() -> None:
    """One addition, the answer reversed: the ids of its tokens, and attention over them."""
    symbols, text = "0123456789+-*=^$", "^012+345=7530$"
    operators = {"+": Kind.OPERATOR, "-": Kind.OPERATOR, "*": Kind.OPERATOR, "=": Kind.EQUALS}
    kinds = torch.tensor([Kind.DIGIT if own.isdigit() else operators.get(own, Kind.OTHER) for own in symbols])
    table = TokenTable(kinds, (kinds == Kind.DIGIT).long())
    reading = Reading(operands="msb", answer="lsb", fixed_width=True)
    tokens = torch.tensor([[symbols.index(own) for own in text]])
    prompt = Prompt(tokens, torch.tensor([text.index("=") + 1]), table, reading, torch.tensor([4]))
    width, heads = 64, 4
    encoding = make_encoding(width, heads, layers=1, tokens=64, digits=8)
    ids = encoding.full(prompt, tokens, torch.tensor([7]), capacity=64)
    print("tokens", *(f"{own:>3}" for own in text))
    for level in (level for own in ids for level in own):
        print("ids   ", *(f"{own:3}" for own in level[0].tolist()))
    positions = encoding.place(ids)
    x = encoding.embed(torch.randn(1, len(text), width), positions)
    layer = encoding.at(0)
    x = layer.hidden(x, positions)
    q = k = v = x.unflatten(-1, (heads, width // heads)).transpose(1, 2)  # a model projects x
    q, k = layer.rotate(q, k, positions)
    out = attention(q, k, v, terms=layer.terms(x, q, k, positions, memory={}))
    print("attention gives", tuple(out.shape), "- samples, heads, tokens, head width")


if __name__ == "__main__":
    demonstration()'''
