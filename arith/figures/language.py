"""The figure of how well models predict the words of dialogue: bits a character, a dot for each seed."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arith.figures import style
from arith.figures.style import COLOURS, MARKERS
from arith.results.measurement import Language

LEFT, RIGHT, TOP, BOTTOM, ROW = 1.5, 0.15, 0.3, 0.5, 0.17  # inches around the panel, and for each label in it


def draw_language(rows: Sequence[Language], path: Path, title: str = "") -> list[Path]:
    """Draw a line of dots for each label as png, pdf and svg, and write the numbers as csv. Lower is better.

    Args:
        rows: of all labels, wordings and seeds.
        path: the figure's, without an ending.
        title: above the panel.
    """
    names = list(dict.fromkeys(row.label for row in rows))
    wordings = list(dict.fromkeys(row.wording for row in rows))
    inside = ROW * len(names)
    with style.canvas(style.COLUMN, TOP + inside + BOTTOM, title) as page:
        panel = page.panel(LEFT, BOTTOM, style.COLUMN - LEFT - RIGHT, inside)
        for number, wording in enumerate(wordings):
            for place, name in enumerate(names):
                bits = [row.bits_a_character for row in rows if (row.label, row.wording) == (name, wording)]
                look: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "ls": "", "clip_on": False}
                # Wordings of one label stand one above the other, within its row.
                y = place + 0.3 * (number - (len(wordings) - 1) / 2)
                panel.plot(bits, [y] * len(bits), ms=2.2, alpha=0.5, mew=0, **look)
                # Named once only: the legend lists every labelled line.
                label = f"{wording} wording" if place == 0 else None
                panel.plot([statistics.median(bits)], [y], ms=4.5, mew=0.7, mfc="none", label=label, **look)
        panel.set_yticks(range(len(names)), names, parse_math=False)
        panel.set_ylim(len(names) - 0.5, -0.5)  # the first label on top
        panel.set_xlim(left=0)
        panel.grid(axis="y", lw=0.3, color="0.85")
        panel.set_xlabel("bits a character of dialogue, digits left out\n(small: a seed; large: the median)")
        panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=6, handletextpad=0.2)
        files = page.save(path)
    about = ("label", "encoding", "wording", "model_seed", "data_seed", "lines", "characters", "words")
    measured = ("bits_a_character", "perplexity_a_word")
    numbers = ([getattr(row, name) for name in (*about, *measured)] for row in rows)
    return [*files, style.write_table(path, (*about, *measured), numbers)]
