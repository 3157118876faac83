"""Which fused kernel each encoding of the catalogue takes on a GPU, and why: a table for kernels/README.md."""

import torch

from arith.catalogue.build import encoding
from arith.catalogue.entries import ALIASES, ENCODINGS, SCHEMES
from arith.catalogue.examples import example
from arith.catalogue.named import format_named, task_named
from arith.data.dataset import Dataset
from arith.errors import UsageError
from arith.kernels.routing import choose_kernel
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

WIDTH, HEADS, LAYERS = 64, 4, 2
DIGITS = (4, 60)  # of operands: additions of 16 and of 184 tokens, where kernels change at 128


def render_kernels() -> str:
    """The table as Markdown. A test compares it with the committed one, so it must not depend on the machine."""
    named = {name: example(name) for name in (*ENCODINGS.names(), *ALIASES)}
    # One bias on every scheme as well: what ids decide.
    named |= {spec: spec for spec in (f"t5@{scheme}" for scheme in (*SCHEMES.names(), "sequential:origin=random"))}
    rows: dict[str, list[str]] = {}
    for name, spec in named.items():
        try:
            (short, because), (long, otherwise) = kernels_of(spec)
        except UsageError:  # on this scheme distances mean nothing
            continue
        why = because if because == otherwise else f"{because}; {otherwise}"
        rows.setdefault(f"{short} | {long} | {why}", []).append(f"`{name}`")
    lines = ["| encodings | up to 128 tokens | longer | why |", "|---|---|---|---|"]
    lines += [f"| {', '.join(names)} | {row} |" for row, names in rows.items()]
    return "\n".join(lines) + "\n"


def kernels_of(spec: str) -> list[tuple[str, str]]:
    """For a short and a long sequence the kernel that an encoding takes, and why.

    >>> kernels_of("alibi")[1]
    ('token table', 'scores go by distance between tokens')
    """
    return [_kernel(spec, digits) for digits in DIGITS]


@torch.no_grad()
def _kernel(spec: str, digits: int) -> tuple[str, str]:
    # Two samples: of a single one, all ids are shared.
    source = Source(task_named("addition"), Uniform(digits, digits), seed=0, split="train")
    batch = Dataset(Mixture([source]), format_named("reversed")).batch(0, 2, torch.device("cpu"))
    composed = encoding(spec, width=WIDTH, heads=HEADS, layers=LAYERS, tokens=int(batch.capacity), digits=digits + 1)
    composed.check(batch.prompt.reading)
    positions = composed.slide(composed.place(batch.placed_by(composed)), loop=0)
    keys = batch.tokens.shape[1]
    x, v = torch.zeros(2, keys, WIDTH), torch.zeros(2, HEADS, keys, WIDTH // HEADS)
    # Of the last layer: a first one may look up in place of attention.
    layer = composed.at(LAYERS - 1)
    q, k = layer.rotate(v, v, positions)
    if q.shape[3] != v.shape[3]:
        return "reference", "the fused kernels take heads of one width for queries and values"
    return choose_kernel(layer.terms(x, q, k, positions, {}), keys)
