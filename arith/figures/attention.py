"""Attention maps: which tokens each head of each layer looks at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import pyplot

from arith.figures import style

LETTER = 0.085  # inches that a token takes on an axis


def draw_attention(
    symbols: str, weights: Sequence[Float[np.ndarray, "h q k"]], path: Path, passes: Sequence[tuple[int, int]]
) -> list[Path]:
    """A map for each head, a row of them for each layer, as png, pdf, svg and csv.

    Args:
        symbols: the tokens of the problem.
        weights: for each layer, those of the loops one after the other; rows are queries and sum to 1.
        passes: loop and layer of each map, see `ModelConfig.passes`.
    """
    n, heads = len(symbols), len(weights[0])
    side = max(LETTER * n, 0.8)
    across = max(1, min(heads, int((style.PAGE - 0.6) / (side + 0.25))))
    rows_each = -(-heads // across)
    across = -(-heads // rows_each)
    rows = rows_each * len(weights)
    width, height = 0.35 + across * (side + 0.25) + 0.3, 0.25 + rows * (side + 0.4)
    with pyplot.rc_context(style.STYLE):
        figure = pyplot.figure(figsize=(width, height))
        for depth, of_layer in enumerate(weights):
            loop, layer = passes[depth]
            for head, own in enumerate(of_layer):
                row, column = depth * rows_each + head // across, head % across
                left, top = 0.35 + column * (side + 0.25), 0.3 + row * (side + 0.4)
                place = (left / width, 1 - (top + side) / height, side / width, side / height)
                panel = figure.add_axes(place)
                looped = f"loop {loop + 1}, " if (loop + 1, layer) in passes or (loop - 1, layer) in passes else ""
                panel.set_title(f"{looped}layer {layer + 1}, head {head + 1}")
                past = np.where(np.tri(n, dtype=bool), own, np.nan)  # the rest stays white
                image = panel.imshow(past, cmap=style.MAP, vmin=0, vmax=1, interpolation="none")
                for axis in (panel.xaxis, panel.yaxis):
                    axis.set_ticks(range(n), list(symbols), fontsize=5.5, parse_math=False)
                panel.tick_params(length=0, pad=1.5)
                if column == 0:
                    panel.set_ylabel("query")
                if row == rows - 1:
                    panel.set_xlabel("key", labelpad=2)
        bar = figure.add_axes(((width - 0.37) / width, 1 - (0.3 + side) / height, 0.08 / width, side / height))
        figure.colorbar(image, cax=bar, ticks=[0, 1])
        files = style.save_figure(figure, path)
    cells = (
        (passes[depth][0] + 1, passes[depth][1] + 1, head + 1, q + 1, symbols[q], k + 1, symbols[k], float(own[q, k]))
        for depth, of_layer in enumerate(weights)
        for head, own in enumerate(of_layer)
        for q in range(n)
        for k in range(q + 1)
    )
    header = ["loop", "layer", "head", "query", "query_token", "key", "key_token", "weight"]
    return [*files, style.write_table(path, header, cells)]
