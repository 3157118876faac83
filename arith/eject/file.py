"""An encoding as one file to take along: its code and, where it adds to scores, attention, on torch alone."""

import re
import textwrap
import zlib

import arith
from arith.catalogue.build import encoding
from arith.catalogue.entries import ENCODINGS, SCHEMES
from arith.catalogue.examples import example
from arith.catalogue.spec import parse
from arith.eject.bundle import Bundle
from arith.eject.demonstration import NAME, write_demonstration
from arith.eject.docstrings import shorten_docstrings
from arith.eject.front import CLASS, Front
from arith.eject.ids import plain_scheme
from arith.eject.sources import WIDTH, Global, module_of
from arith.eject.trim import trim
from arith.encodings.compose import Composed
from arith.encodings.in_layers import InLayers
from arith.errors import UsageError

OP: Global = ("arith.kernels.attention", "attention")
PLAIN = "arith.eject.plain"
# What the class at the head of a file and its demonstration name.
POSITIONS: Global = ("arith.encodings.base", "Positions")
TYPES: tuple[Global, ...] = (POSITIONS, ("arith.kernels.terms", "Ids"))
PROMPTS: tuple[Global, ...] = tuple(
    ("arith.encodings.positions", name) for name in ("Kind", "TokenTable", "Reading", "Prompt")
)
# Names that two modules share. Where one is not listed, it gets its module's name before its own.
PREFERRED: dict[Global, str] = {
    OP: "attention",
    ("arith.kernels.reference", "attention"): "plain_attention",
    (PLAIN, "attention"): "attention",
    ("arith.kernels.short_op", "attention"): "fused_attention",
    # The longer name where it stands in shorter lines.
    ("arith.kernels.shearing", "asked_scores"): "asked_scores",
    ("arith.kernels.short_scores", "asked_scores"): "short_asked_scores",
    ("arith.kernels.short_scores", "products"): "short_products",
    ("arith.kernels.long_learned", "_constants"): "_constants",
    ("arith.kernels.terms", "Window"): "WindowTerm",
    ("arith.encodings.window", "Window"): "Window",
    ("arith.kernels.terms", "Ids"): "Ids",
    ("arith.encodings.biases", "ALiBi"): "ALiBi",
    ("arith.encodings.dape", "ALiBi"): "ALiBiBase",
}
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
    'Positional encoding rope in one file.'
    """
    text, composed = _complete(text)
    parts = parse(text)
    encodings = [ENCODINGS.load(part.encoding.name) for part in parts]
    hybrid = [InLayers] if any(part.layers is not None for part in parts) else []
    schemes = [] if plain_scheme(composed) else [SCHEMES.load(part.scheme.name) for part in parts]
    named = [(module_of(thing), thing.__name__) for thing in dict.fromkeys((*encodings, *schemes, *hybrid))]
    roots = [OP if kernel else (PLAIN, "attention"), *TYPES, *(PROMPTS if schemes else ()), *named]
    bundle = Bundle.of(roots, PREFERRED, {} if kernel else {POSITIONS: (PLAIN, "Positions")})
    front = Front(parts, composed, bundle.names, kernel)
    # The class first, from which the demonstration learns what a model is asked for.
    head, end = front.write_class(), write_demonstration(front)
    if kernel:
        code = shorten_docstrings("\n\n\n".join([*bundle.sections(), head, end]))
    else:
        code = trim("\n\n\n".join([head, *bundle.sections(last=PLAIN, headings=False), end]), {CLASS, NAME})
    imports = bundle.imports(code)
    if not kernel:
        imports = f"from __future__ import annotations\n\n{imports}"
    # Blank lines before a comment and before code, as ruff leaves them.
    file = f"{_header(text, kernel, front)}\n\n{imports}{chr(10) * (2 if code.startswith('#') else 3)}{code}\n"
    # Docstrings that point to a module of arith: its notes are a comment of the file.
    file = re.sub(r"`arith\.\w+\.(\w+)`", r"the notes on \1", file)
    # torch knows its operators by name, once a process: a program may import both arith and the file.
    return file.replace('"arith::', f'"{identifier(text)}::')


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


def _complete(text: str) -> tuple[str, Composed]:
    """The same, or the gallery's example of a bare name that cannot be without settings; and the encoding, built."""
    enough = max(TRIED["layers"], *(1 + part.layers[-1] for part in parse(text) if part.layers is not None), 0)
    tried = TRIED | {"layers": enough}
    try:
        return text, encoding(text, **tried)
    except UsageError:
        if text not in ENCODINGS.names() or example(text) == text:
            raise
    return example(text), encoding(example(text), **tried)


def _header(text: str, kernel: bool, front: Front) -> str:
    resolved = "+".join(map(str, parse(text)))  # aliases and defaults written out
    meaning = "" if resolved == text else f"\n    {text} = {resolved}\n"
    if any(len(line) > WIDTH for line in meaning.splitlines()):
        meaning = f"\n    {text} =\n        " + resolved.replace("+", "\n        +") + "\n"
    # A shell would read parentheses and brackets as its own.
    command = f"arith eject '{text}'" if re.search(r"[()\[\]]", text) else f"arith eject {text}"
    origin = (
        f"Made by `{command}{' --kernel' if kernel else ''}` of arith {arith.__version__}; it needs "
        f"{'torch and triton' if kernel else 'torch alone'}. Licence: Apache-2.0, "
        f"https://www.apache.org/licenses/LICENSE-2.0. Run as a program it shows the ids of an addition."
    )
    title = f"Positional encoding {text} in one file."
    # Three quotation marks stand before it on its line.
    if len(title) + 3 > WIDTH:
        title = "A positional encoding in one file."
    told = "" if kernel else front.explain()
    return f'''"""{title}
{meaning}{told}
{textwrap.fill(origin, WIDTH)}
Letters of shapes: b batch, n sequence, h heads, g key/value heads, d head width, q/k query and key positions, w width.
"""'''
