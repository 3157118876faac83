"""The figure of what models give to the words of dialogue: bits a character, a dot a seed."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot

from arith.figures import style
from arith.figures.style import COLOURS, MARKERS
from arith.results.schema import Language

LEFT, RIGHT, TOP, BOTTOM, ROW = 1.5, 0.15, 0.3, 0.5, 0.17  # inches around the panel, and for each label in it


def draw_language(rows: Sequence[Language], path: Path, title: str = "") -> list[Path]:
    """Draw into `path` with the endings png, pdf, svg, and write the numbers as csv. Less is better."""
    names = list(dict.fromkeys(row.label for row in rows))
    wordings = list(dict.fromkeys(row.wording for row in rows))
    above = TOP + (0.22 if title else 0)
    height = above + ROW * len(names) + BOTTOM
    with pyplot.rc_context(style.STYLE):
        figure = pyplot.figure(figsize=(style.COLUMN, height))
        wide = style.COLUMN - LEFT - RIGHT
        panel = figure.add_axes((LEFT / style.COLUMN, BOTTOM / height, wide / style.COLUMN, ROW * len(names) / height))
        for number, wording in enumerate(wordings):
            for place, name in enumerate(names):
                own = [row.bits_a_character for row in rows if (row.label, row.wording) == (name, wording)]
                look: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "ls": "", "clip_on": False}
                y = place + 0.3 * (number - (len(wordings) - 1) / 2)
                panel.plot(own, [y] * len(own), ms=2.2, alpha=0.5, mew=0, **look)
                label = f"{wording} wording" if place == 0 else None
                panel.plot([statistics.median(own)], [y], ms=4.5, mew=0.7, mfc="none", label=label, **look)
        panel.set_yticks(range(len(names)), names, parse_math=False)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_xlim(left=0)
        panel.grid(axis="y", lw=0.3, color="0.85")
        panel.set_xlabel("bits a character of dialogue, digits left out\n(small: a seed; large: the median)")
        panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=6, handletextpad=0.2)
        if title:
            style.headline(figure, title)
        files = style.save_figure(figure, path)
    about = ("label", "encoding", "wording", "model_seed", "data_seed", "lines", "characters", "words")
    measured = ("bits_a_character", "perplexity_a_word")
    numbers = ([getattr(row, name) for name in (*about, *measured)] for row in rows)
    return [*files, style.write_table(path, (*about, *measured), numbers)]
