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
from arith.eject.cuts import choose_cuts, drop_broken_examples
from arith.eject.sources import Global, Import, module_of
from arith.errors import UsageError
from arith.kernels.terms import Term, Window

OP: Global = ("arith.kernels.attention", "attention")
REFERENCE: Global = ("arith.kernels.reference", "attention")
ALWAYS: tuple[Global, ...] = (
    ("arith.encodings.positions", "Kind"),
    ("arith.encodings.positions", "TokenTable"),
    ("arith.encodings.positions", "Prompt"),
    ("arith.encodings.base", "Positions"),
    ("arith.encodings.compose", "Part"),
    ("arith.encodings.compose", "Composed"),
)
PREFERRED: dict[Global, str] = {
    OP: "attention",
    REFERENCE: "plain_attention",
    ("arith.kernels.fused", "attention"): "fused_attention",
    ("arith.kernels.terms", "Window"): "WindowTerm",
    ("arith.encodings.window", "Window"): "Window",
    ("arith.kernels.terms", "Ids"): "Ids",
    ("arith.encodings.compose", "Ids"): "SchemeIds",
    ("arith.encodings.biases", "ALiBi"): "ALiBi",
    ("arith.encodings.dape", "ALiBi"): "ALiBiBase",
}
INDENT = 4
LONGEST_NAME = 31
# Of a model with which a text is tried, and which the file's demonstration has.
TRIED = {"width": 64, "heads": 4, "layers": 1, "tokens": 64, "digits": 8}


def eject(text: str, kernel: bool = False) -> str:
    """The file of an encoding.

    Args:
        text: see `arith.catalogue.spec`; a bare name that needs a setting gets the gallery's example of it.
        kernel: with the Triton kernels, which need triton too.

    Raises:
        UsageError: the text cannot be read, or its parts do not go together.
    """
    text = _complete(text)
    parts = parse(text)
    encodings = [ENCODINGS.load(part.encoding.name) for part in parts]
    schemes = [SCHEMES.load(part.scheme.name) for part in parts]
    own = [(module_of(thing), thing.__name__) for thing in dict.fromkeys((*encodings, *schemes))]
    # Attention first, then places, then what is named: a reader meets what is used before what uses it.
    roots = [OP, *([] if kernel else [REFERENCE]), *ALWAYS, *own]
    whole = Bundle.of(roots, PREFERRED, choose_cuts(kernel, frozenset()))
    # The plain path hides keys whether an encoding does or not, so that `Window` is never left out.
    terms = {(module_of(term), term.__name__) for term in get_args(Term) if term is not Window}
    unused = frozenset[str]() if kernel else frozenset(name for _, name in terms - whole.calls_among(sorted(terms)))
    bundle = Bundle.of(roots, PREFERRED, choose_cuts(kernel, unused))
    body = "\n\n\n".join(section.rstrip("\n") for section in bundle.sections())
    factory = _factory(parts, bundle)
    imports = bundle.imports([Import("torch", None, "torch")])
    after_imports = "\n\n" if body.startswith("#") else "\n\n\n"
    code = imports + after_imports + "\n\n\n".join([body, factory, DEMONSTRATION])
    file = f"{_header(text, kernel)}\n\n{code}\n"
    file = re.sub(r"`arith\.\w+\.(\w+)`", r"the notes on \1", file)
    file = file.replace('"arith::', f'"{identifier(text)}::')  # operators of torch: one process may hold both
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
    """The same, with the settings that a bare name cannot be without."""
    try:
        encoding(text, **TRIED)
    except UsageError:
        if text not in ENCODINGS.names() or example(text) == text:
            raise
        text = example(text)
        encoding(text, **TRIED)
    return text


def _header(text: str, kernel: bool) -> str:
    written = "+".join(map(str, parse(text)))
    meaning = "" if written == text else f"\n    {text} = {written}\n"
    if any(len(line) > WIDTH for line in meaning.splitlines()):
        meaning = f"\n    {text} =\n        " + written.replace("+", "\n        +") + "\n"
    needs = "torch and triton" if kernel else "torch alone"
    command = f"arith eject '{text}'" if re.search(r"[()]", text) else f"arith eject {text}"
    made = (
        f"Made by `{command}{' --kernel' if kernel else ''}` of arith {arith.__version__}. It needs {needs}. Licence: "
        f"Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0. Run as a program it shows the ids of an addition."
    )
    title = f"Positional encoding {text}, and attention with it, in one file."
    if len(title) + 3 > WIDTH:
        title = "A positional encoding, and attention with it, in one file."
    return f'''"""{title}
{meaning}
{textwrap.fill(made, WIDTH)}

In a model of yours, with tokens "b n", their embeddings x "b n width" and a prompt (see `Prompt`):

    encoding = make_encoding(width=64, heads=4, layers=2)            # a module of your model
    ids = encoding.full(prompt, tokens, key, capacity=128)           # once for a batch
    positions = [Positions(own, own) for own in ids]
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
    for named, variable in schemes.items():
        made = _call(SCHEMES.load(named.name), named, "position scheme", bundle, _facts(None))
        lines += _statement(f"{variable} = {made[0]}(", made[1], ")")
    for part, variable in encodings.items():
        facts = _facts(schemes[part.scheme])
        name, arguments = _call(ENCODINGS.load(part.encoding.name), part.encoding, "encoding", bundle, facts)
        lines += _statement(f"{variable} = {name}(", arguments, ")")
    pairs = [f"Part({encodings[part]}, {schemes[part.scheme]})" for part in parts]
    lines += _statement("return Composed([", pairs, "])")
    body = "\n".join(f"    {line}" for line in lines)
    return f"{FACTORY}\n{body}"


Spec = TypeVar("Spec", bound=Hashable)


def _variables(of: Sequence[Spec], name: str) -> dict[Spec, str]:
    """A variable for each of several things."""
    distinct = list(dict.fromkeys(of))
    return {own: name if len(distinct) == 1 else f"{name}_{place}" for place, own in enumerate(distinct, 1)}


def _facts(scheme: str | None) -> dict[str, str]:
    """How what a constructor is given is written in the factory; `scheme`: the variable of an encoding's scheme."""
    facts = {name: name for name in SHAPE} | {"head_width": "width // heads"}
    if scheme is not None:
        facts |= {"highest": f"{scheme}.highest(tokens, digits)"}
        facts |= {"levels": f"{scheme}.levels", "resolution": f"{scheme}.resolution"}
    return facts


def _statement(head: str, items: Sequence[str], tail: str) -> list[str]:
    """On one line, or an item a line."""
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
    told = {key for key, _ in named.settings}
    written = [
        f"{key}={value if key in facts and key not in told else _literal(value)}" for key, value in arguments.items()
    ]
    return bundle.names[module_of(make), make.__name__], written


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


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
    positions = [Positions(own, own) for own in ids]
    x = encoding.embed(torch.randn(1, len(text), width), positions)
    layer = encoding.at(0)
    x = layer.hidden(x, positions)
    q = k = v = x.unflatten(-1, (heads, width // heads)).transpose(1, 2)  # a model projects x
    q, k = layer.rotate(q, k, positions)
    out = attention(q, k, v, terms=layer.terms(x, q, k, positions, memory={}))
    print("attention gives", tuple(out.shape), "- samples, heads, tokens, head width")


if __name__ == "__main__":
    demonstration()'''
