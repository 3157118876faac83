"""What all figures share: colours, sizes, and files that are the same bytes each time."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import colormaps, pyplot
from matplotlib.figure import Figure

from arith.errors import RunError

# Okabe and Ito's colours, told apart by colour-blind readers, but grey for their yellow, which is lost on white.
# Markers and dashes tell curves apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
# Its lightness rises with the values: read in grey, and by colour-blind readers.
MAP = colormaps["cividis"]
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "arith",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.titlepad": 4,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
}
COLUMN, PAGE = 3.4, 7.0  # inches: a column and the text of a paper's page
FORMATS = ("png", "pdf", "svg")


def save_figure(figure: Figure, path: Path, dpi: int = 200) -> list[Path]:
    """Save a figure as `path` with the endings png, pdf, svg, without the time of day in them, and close it."""
    dateless: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    files = [path.with_name(f"{path.name}.{ending}") for ending in FORMATS]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            figure.savefig(file, dpi=dpi, metadata=dateless[file.suffix[1:]])
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}. Choose another --out") from error
    finally:
        pyplot.close(figure)
    return files


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """The numbers of a figure as `path` with the ending csv; floats to six digits."""
    file = path.with_name(f"{path.name}.csv")
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
    return file


def headline(figure: Figure, title: str) -> None:
    """Write a title over all panels, smaller if it would not fit."""
    width, height = figure.get_size_inches()
    text = figure.text(0.5, 1 - 0.06 / height, title, fontsize=8, va="top", ha="center", parse_math=False)
    needed = text.get_window_extent().width / figure.dpi
    text.set_fontsize(8 * min(1.0, (width - 0.1) / needed))
