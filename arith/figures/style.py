"""What all figures share: colours, a canvas in inches, and files that are the same bytes each time."""

import contextlib
import csv
import functools
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib

# Before pyplot is imported: no window system is needed, and pixels do not depend on which one there is.
matplotlib.use("Agg")

from matplotlib import colormaps, pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arith.errors import UsageError
from arith.process.files import building, write_errors
from arith.process.progress import say

# The palette of Okabe and Ito (2008), which colour-blind readers can distinguish, with grey in place of yellow, which
# is lost on white. In print without colour, markers and dashes distinguish the curves.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
# Its lightness rises with the value, so that it can be read in grey and by colour-blind readers.
MAP = colormaps["cividis"]
STYLE: dict[Any, Any] = {
    # Names of elements in an svg are hashes; without a fixed salt they differ from run to run.
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
COLUMN, PAGE = 3.4, 7.0  # inches: the width of a column and of the text on a paper's page
GLYPH = r"Glyph (\d+) .*missing from"  # how matplotlib's warning of a missing character begins
TITLE = 0.22  # inches that a title adds at the top
FORMATS = ("png", "pdf", "svg")


class Canvas:
    """A figure whose panels are placed in inches from the lower left corner.

    A title makes the figure taller and moves no panel, so figures with and without one need the same arithmetic.

    Args:
        width, height: inches, without the title.
        title: above all panels; none if empty.
    """

    def __init__(self, width: float, height: float, title: str = "") -> None:
        self.width, self.height, self.title = width, height + (TITLE if title else 0.0), title
        self.figure = pyplot.figure(figsize=(self.width, self.height))

    def panel(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """New axes with this corner and size, in inches."""
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def note(self, text: str, spacing: float | None = None) -> None:
        """Write a line or two, small, into the lower left corner: what lines, bands and bars mean."""
        x, y = 0.05 / self.width, 0.05 / self.height
        self.figure.text(x, y, text, fontsize=5, color="0.35", va="bottom", linespacing=spacing)

    def save(self, path: Path) -> list[Path]:
        """Write the title, then the files, see `save_figure`."""
        if self.title:
            write_title(self.figure, self.title)
        return save_figure(self.figure, path)


@contextlib.contextmanager
def canvas(
    width: float, height: float, title: str = "", changes: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Canvas]:
    """A canvas, with the style of all figures in force while it is drawn on.

    Args:
        width, height, title: see `Canvas`.
        changes: matplotlib settings in which this figure differs from the others.

    >>> with canvas(2, 1, "A title") as page:
    ...     panel = page.panel(left=0.5, bottom=0.5, width=1, height=0.4)
    >>> [round(float(inches), 2) for inches in page.figure.get_size_inches()]
    [2.0, 1.22]
    >>> pyplot.close(page.figure)
    """
    # Saving must happen inside as well: some settings, the salt of svg among them, are read only then.
    with pyplot.rc_context(STYLE | dict(changes)), _name_missing_glyphs():
        yield Canvas(width, height, title)


@contextlib.contextmanager
def _name_missing_glyphs() -> Iterator[None]:
    """Name the characters that the font lacks in one line, where matplotlib warns of each one in each file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", GLYPH)
        yield
    found = [(re.match(GLYPH, str(one.message)), one) for one in caught]
    lacking = dict.fromkeys(chr(int(match[1])) for match, _ in found if match)
    if lacking:
        _report_missing("".join(lacking))
    for match, one in found:
        if not match:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


@functools.cache  # once a command, which may draw several figures with the same labels
def _report_missing(characters: str) -> None:
    say(f"the font of figures lacks {characters}: a box is drawn for each. Write titles and labels without them")


def save_figure(figure: Figure, path: Path, dpi: int = 200) -> list[Path]:
    """Save a figure under the endings png, pdf and svg, and close it.

    Args:
        path: without an ending; its folder is created.

    Raises:
        UsageError: the path is no file's name.
        RunError: a file cannot be written.
    """
    # A date in a file would make it differ each time it is drawn; png files carry none.
    dateless: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    try:
        with write_errors(path):
            files = [with_ending(path, ending) for ending in FORMATS]
            path.parent.mkdir(parents=True, exist_ok=True)
            for file, ending in zip(files, FORMATS, strict=True):
                with building(file) as aside:
                    figure.savefig(aside, format=ending, dpi=dpi, metadata=dateless[ending])
    finally:
        pyplot.close(figure)
    return files


def with_ending(path: Path, ending: str) -> Path:
    """A figure's path with one of its endings.

    Raises:
        UsageError: the path is a folder's, such as `.`, and names no figure.

    >>> with_ending(Path("rope-0.5"), "csv").name
    'rope-0.5.csv'
    """
    if path.name in ("", ".."):
        raise UsageError(f"a figure is named without an ending, such as --out figure; got '{path}', which is a folder")
    # `with_name`, as `with_suffix` would cut a name such as "rope-0.5" at its dot.
    return path.with_name(f"{path.name}.{ending}")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write the numbers of a figure under the ending csv, with six significant digits."""
    file = with_ending(path, "csv")
    with write_errors(path), building(file) as aside, aside.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
    return file


def write_title(figure: Figure, title: str) -> None:
    """Write a title above all panels, smaller if it would not fit."""
    width, height = figure.get_size_inches()
    text = figure.text(0.5, 1 - 0.06 / height, title, fontsize=8, va="top", ha="center", parse_math=False)
    needed = text.get_window_extent().width / figure.dpi
    text.set_fontsize(8 * min(1.0, (width - 0.1) / needed))
