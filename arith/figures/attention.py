"""Attention maps: how much each query of each head attends to each key."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from arith.figures import style

LETTER = 0.085  # inches that a token takes on an axis
SMALLEST = 0.8  # inches: the side of a map of few tokens, whose cells would otherwise be too small to tell shades apart
TITLE_LETTER = 0.05  # inches that a character of a map's title takes, at style's 7 points, rounded up
LEFT, TOP, RIGHT = 0.35, 0.3, 0.3  # inches around all maps; the colour bar stands at the right
ACROSS, DOWN = 0.25, 0.4  # inches between maps
BETWEEN_TITLES = 0.1  # inches


def draw_attention(
    symbols: str,
    weights: Sequence[Float[np.ndarray, "h q k"]],
    path: Path,
    passes: Sequence[tuple[int, int]],
    *,
    of: Sequence[tuple[int, int]] = (),
    causal: bool = True,
) -> list[Path]:
    """Draw a map for each head, a row of maps for each layer, as png, pdf, svg, and write the weights as csv.

    Args:
        symbols: the tokens of the problem.
        weights: one array for each computed layer, loop after loop in a looped model; each query's weights sum to 1.
        path: the figure's path, without an ending.
        passes: the loop and the layer of each array, see `ModelConfig.passes`.
        of: those of the whole model, where some are drawn.
        causal: whether keys ahead of a query are hidden from it; they stay white.
    """
    n, heads = len(symbols), max(map(len, weights))
    seen = np.tri(n, dtype=bool) if causal else np.ones((n, n), dtype=bool)
    # Only layers that run more than once name their loop.
    loops = [any((other, layer) in (of or passes) for other in (loop - 1, loop + 1)) for loop, layer in passes]
    names = [
        f"{f'loop {loop + 1}, ' if looped else ''}layer {layer + 1}, head "
        for (loop, layer), looped in zip(passes, loops, strict=True)
    ]
    # A title may be wider than its map, by the gap between maps less some space to the next title.
    longest = max(map(len, names)) + len(str(heads))
    side = max(LETTER * n, SMALLEST, TITLE_LETTER * longest + BETWEEN_TITLES - ACROSS)
    across = max(1, min(heads, int((style.PAGE - 0.6) / (side + ACROSS))))
    rows_each = -(-heads // across)
    # Seven heads that need two rows stand as 4 and 3, not as 6 and 1.
    across = -(-heads // rows_each)
    rows = rows_each * len(weights)
    width, height = LEFT + across * (side + ACROSS) + RIGHT, 0.25 + rows * (side + DOWN)
    with style.canvas(width, height) as page:
        for depth, layer_weights in enumerate(weights):
            for head, head_weights in enumerate(layer_weights):
                row, column = depth * rows_each + head // across, head % across
                bottom = height - (TOP + row * (side + DOWN)) - side
                panel = page.panel(LEFT + column * (side + ACROSS), bottom, side, side)
                panel.set_title(f"{names[depth]}{head + 1}")
                image = panel.imshow(
                    np.where(seen, head_weights, np.nan), cmap=style.MAP, vmin=0, vmax=1, interpolation="none"
                )
                for axis in (panel.xaxis, panel.yaxis):
                    axis.set_ticks(range(n), list(symbols), fontsize=5.5, parse_math=False)
                panel.tick_params(length=0, pad=1.5)
                if column == 0:
                    panel.set_ylabel("query")
                if row == rows - 1:
                    panel.set_xlabel("key", labelpad=2)
        bar = page.panel(width - 0.37, height - TOP - side, 0.08, side)
        page.figure.colorbar(image, cax=bar, ticks=[0, 1])
        files = page.save(path)
    cells = (
        (loop + 1, layer + 1, head + 1, q + 1, symbols[q], k + 1, symbols[k], float(head_weights[q, k]))
        for (loop, layer), layer_weights in zip(passes, weights, strict=False)
        for head, head_weights in enumerate(layer_weights)
        for q in range(n)
        for k in np.flatnonzero(seen[q])
    )
    header = ["loop", "layer", "head", "query", "query_token", "key", "key_token", "weight"]
    return [*files, style.write_table(path, header, cells)]
