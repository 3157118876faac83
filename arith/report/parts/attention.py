"""What each head attends to in one problem."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_hex

from arith.figures.style import MAP
from arith.report.markup import Markup, element, join

LEVELS = 12  # shades of a map: an eye tells fewer apart
LETTERS = 26  # tokens up to which a map has room for their letters at its sides
LEAST = 0.05  # a key that gets less of a query's attention is not said


@dataclass(frozen=True)
class Heads:
    """The attention of one model over one problem.

    Args:
        label: the model.
        problem: the problem, as a person types it.
        symbols: its tokens, a character each.
        weights: an array for each computed layer; each query's weights sum to 1.
        passes: the loop and the layer of each array.
        of: how many there are, of which the first are drawn.
        looped: whether a layer runs more than once.
        causal: whether keys ahead of a query are hidden from it.
    """

    label: str
    problem: str
    symbols: str
    weights: Sequence[Float[np.ndarray, "h q k"]]
    passes: Sequence[tuple[int, int]]
    of: int
    looped: bool
    causal: bool


def attention_part(models: Sequence[Heads]) -> Markup:
    """A map for each head; a row of a map says what its query attends to."""
    stops = ", ".join(to_hex(MAP(share / 8)) for share in range(9))
    ramp = element("span", class_="ramp", style=f"background: linear-gradient(to right, {stops})")
    told = "1 of a query's attention. Rows are queries, columns keys; ^ begins and $ ends a line."
    key = element("p", "0", ramp, told, class_="note scale")
    return join(key, *map(_model, models))


def _model(heads: Heads) -> Markup:
    maps = []
    for (loop, layer), weights in zip(heads.passes, heads.weights, strict=True):
        named = f"{f'loop {loop + 1}, ' if heads.looped else ''}layer {layer + 1}, head "
        maps += [_map(heads, own, f"{named}{head}") for head, own in enumerate(weights, 1)]
    cut = f" The first {len(heads.weights)} of {heads.of} passes." if heads.of > len(heads.weights) else ""
    problem = element(
        "p", element("code", heads.problem), f", {len(heads.symbols)} tokens: ", element("code", heads.symbols), cut
    )
    return join(element("h3", heads.label), problem, element("div", *maps, class_="heads"))


def _map(heads: Heads, weights: Float[np.ndarray, "q k"], name: str) -> Markup:
    n = len(heads.symbols)
    rows = [_row(heads, weights[query], query, name) for query in range(n)]
    # Here a viewBox fits: a map has squares alone, and its letters may shrink with them.
    shown = [element("rect", class_="hidden-keys", width=str(n), height=str(n)), *rows]
    if n <= LETTERS:
        shown += [element("text", symbol, x="-0.6", y=str(at + 0.75)) for at, symbol in enumerate(heads.symbols)]
        shown += [element("text", symbol, x=str(at + 0.5), y=str(n + 0.95)) for at, symbol in enumerate(heads.symbols)]
    edge = 1.2 if n <= LETTERS else 0
    box = f"{-edge} 0 {n + edge} {n + edge}"
    svg = element("svg", *shown, viewBox=box, role="group", aria_label=name, class_="head", data_roving=True)
    readout = element("p", class_="readout", aria_live="polite")
    return element("figure", element("h4", name), svg, readout)


def _row(heads: Heads, weights: Float[np.ndarray, " k"], query: int, name: str) -> Markup:
    """The weights of one query: a path for each shade, and what it says."""
    keys = query + 1 if heads.causal else len(heads.symbols)
    levels = np.minimum((weights[:keys] * LEVELS).astype(int), LEVELS - 1)
    ground = element("rect", y=str(query), width=str(keys), height="1", fill=to_hex(MAP(0.5 / LEVELS)))
    shades = [
        element("path", fill=to_hex(MAP((level + 0.5) / LEVELS)), d="".join(f"M{key} {query}h1v1h-1z" for key in found))
        for level in sorted({*levels.tolist()} - {0})
        if len(found := np.flatnonzero(levels == level))
    ]
    most = [key for key in np.argsort(-weights[:keys], kind="stable")[:4].tolist() if weights[key] >= LEAST]
    told = ", ".join(f"{_token(heads, key)} {100 * weights[key]:.0f}%" for key in most) or "everything alike"
    title = element("title", f"{name}: {_token(heads, query)} attends to {told}")
    looks = {"class_": "point cell", "role": "img", "tabindex": "-1", "data_x": "0", "data_y": str(query)}
    return element("g", title, ground, *shades, **looks)


def _token(heads: Heads, place: int) -> str:
    return f"'{heads.symbols[place]}' ({place + 1})"
