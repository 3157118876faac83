"""Pictures of encodings: what each does over positions, within a trained length and beyond.

A picture is chosen from what an encoding does, see `effects`, never from its name:

    nothing at all                     the causal mask, and the weight of each key where all scores are equal
    acts on ids that follow digits     maps over the tokens of an addition, beside the ids or a second map
    else                               one map or two over positions, and curves along a row of the first
"""

from pathlib import Path

import torch
from jaxtyping import Float
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from arith.catalogue.entries import ALIASES, ENCODINGS, SCHEMES
from arith.catalogue.examples import SHOWN, TRAINED
from arith.figures import style
from arith.figures.style import Canvas
from arith.gallery import panels
from arith.gallery.effects import Demonstration, Effect, demonstrate, demonstrate_scheme
from arith.gallery.panels import PICTURE_STYLE, Line
from arith.process.files import building
from arith.process.progress import track

WIDTH = 3.4  # inches, as all sizes here
LEFT, BOTTOM, TOP, RIGHT = 0.38, 0.36, 0.2, 0.1  # around the panels
SIDES = {1: 1.05, 2: 0.82}  # of a map, by how many there are
FEW = 12  # positions drawn where all changes happen within a third of them
NAMES = {"input": "cosine similarity", "rotation": "mean score", "scores": "added"}
CAPTIONS = {
    "input": "How alike the vectors are that two tokens are given: 1, the same; 0, nothing in common.",
    "rotation": "The score of a query and a key of the same content, as a mean over all contents.",
    "scores": "What is added to the scores.",
}


def draw(folder: Path) -> list[Path]:
    """Draw every encoding, alias and scheme into a folder, each as svg under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    encodings, schemes = (*ENCODINGS.names(), *ALIASES), SCHEMES.names()
    drawn = [draw_one(name, folder / f"{name}.svg") for name in track(encodings, "encodings drawn", len(encodings))]
    return drawn + [
        draw_scheme(name, folder / f"scheme-{name}.svg") for name in track(schemes, "schemes drawn", len(schemes))
    ]


def draw_one(name: str, path: Path) -> Path:
    """Draw one encoding or alias as svg."""
    with pyplot.rc_context(PICTURE_STYLE):
        return _save_svg(_draw_effects(demonstrate(name)), path)


def draw_scheme(name: str, path: Path) -> Path:
    """Draw the ids of a position scheme as svg: left in training, right in tests."""
    shown = demonstrate_scheme(name)
    # One vertical axis for both: that tests stay within the trained ids, or leave them, is what the picture shows.
    limits = 0, 1.06 * max(max(ids) for samples in (shown.trained, shown.tested) for ids in samples)
    with style.canvas(WIDTH, BOTTOM + 1.0 + TOP, changes=PICTURE_STYLE) as page:
        for left, title, samples in ((0.38, "in training", shown.trained), (2.0, "in tests", shown.tested)):
            panel = page.panel(left, BOTTOM, 1.28, 1.0)
            panels.draw_dots(panel, samples)
            panels.label_tokens(panel, shown.symbols, down=False)
            panel.set_ylim(*limits)
            panel.tick_params(labelleft=title == "in training")
            panel.set_title(title)
        return _save_svg(page.figure, path)


def _save_svg(figure: Figure, path: Path) -> Path:
    """Save a figure without what differs from day to day and between versions of matplotlib, and close it."""
    # Widths in pixels, as of a strip of colours, follow from the resolution, in an svg too.
    with building(path) as aside:
        figure.savefig(aside, format="svg", dpi=200, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return path


def draw_files(name: str, path: Path) -> list[Path]:
    """Draw one encoding or alias as png, pdf and svg, and write its numbers as csv.

    Args:
        name: the encoding or alias.
        path: the figure's, without an ending.
    """
    shown = demonstrate(name)
    with pyplot.rc_context(PICTURE_STYLE):
        files = style.save_figure(_draw_effects(shown), path)
    pairs = (
        (shown.spec, effect.place, head + 1, q + 1, k + 1, float(value))
        for effect in shown.effects
        for head, values in enumerate(effect.values)
        for q, row in enumerate(values.tolist())
        for k, value in enumerate(row)
        if value == value  # NaN, a hidden key, has no row
    )
    return [*files, style.write_table(path, ["encoding", "place", "head", "query", "key", "value"], pairs)]


def caption(shown: Demonstration) -> str:
    """Sentences about what a picture shows."""
    if not shown.effects:
        return "Left, the causal mask; right, what weight each key has where all scores are equal."
    # Once for each place: an encoding may act on the input both before the first layer and in every layer.
    sentences = [CAPTIONS[place] for place in dict.fromkeys(effect.place for effect in shown.effects)]
    first = shown.effects[0]
    if shown.symbols:
        sentences.append("Over the tokens of an addition" + ("; left, their ids." if len(shown.effects) == 1 else "."))
    elif first.place == "input":
        sentences.append(f"Right, with the tokens at {TRAINED // 2} and, dashed, {TRAINED + TRAINED // 2}.")
    else:
        follows, heads = _follows_query(first), len(first.values)
        which = f" and, dashed, from query {TRAINED}" if follows else ""
        # Two heads where each has two curves, see `_draw_over_positions`.
        each = f", each of {'two' if follows else heads} heads" if heads > 1 else ""
        sentences.append(f"Right, by distance from the last query{which}{each}.")
    if any(bool(_select_pairs(effect).isnan().any()) for effect in shown.effects):
        sentences.append("Hatched: hidden." if first.place != "input" else "Hatched: given none.")
    if shown.by_content:
        sentences.append("They depend on the content: here every token has the same, drawn at random.")
    if shown.filled:
        sentences.append("Parameters that start at zero hold an example here: smooth random curves.")
    return " ".join(sentences)


def _draw_effects(shown: Demonstration) -> Figure:
    """Draw what an encoding does, in the way that suits it. In the style of pictures, which the caller sets."""
    if not shown.effects:
        return _draw_mask()
    return _draw_over_tokens(shown, shown.symbols) if shown.symbols else _draw_over_positions(shown)


def _lay_out(maps: int) -> tuple[Figure, list[Axes], Axes]:
    """A figure with square panels for maps, and a panel for curves that takes the rest of the width."""
    side = SIDES[maps]
    page = Canvas(WIDTH, BOTTOM + side + TOP)
    lefts = [LEFT + number * (side + 0.1) for number in range(maps)]
    rest = lefts[-1] + side + 0.46  # with room for the numbers of the curves' axis
    squares = [page.panel(left, BOTTOM, side, side) for left in lefts]
    return page.figure, squares, page.panel(rest, BOTTOM, WIDTH - RIGHT - rest, side)


def _draw_over_positions(shown: Demonstration) -> Figure:
    """Draw maps of two heads, or of two places where it acts, and curves of the first place."""
    first, *others = shown.effects
    if _follows_query(first):
        # Each head has two curves then, and four in one panel are as many as can be read.
        first = Effect(first.place, first.values[:2])
    mapped = [(first, 0), (others[0], 0)] if others else [(first, head) for head in range(min(2, len(first.values)))]
    extent = _choose_extent(first)
    figure, squares, last = _lay_out(len(mapped))
    for square, (effect, head) in zip(squares, mapped, strict=True):
        causal = effect.place != "input"  # vectors at the input are compared both ways
        panels.draw_map(square, effect.values[head, :extent, :extent], _range(effect), causal)
        panels.label_positions(square, extent, *(("key", "query") if causal else ("position", "position")))
        several = f", head {head + 1}" if len(effect.values) > 1 else ""
        square.set_title(NAMES[effect.place] + several)
    for square in squares[1:]:
        # The second map shares the first one's vertical axis; its first number would touch the other map.
        square.set_ylabel("")
        square.set_yticklabels([])
        square.set_xticks(square.get_xticks()[1:])
    across, start = ("position", 1) if first.place == "input" else ("distance", 0)
    low, high = _range(first)
    limits = (low - 1, low) if _is_flat(first) else (low, high)
    panels.draw_curves(last, _cut_lines(first, extent), limits, start, across)
    if not _is_flat(first):
        panels.add_colour_strip(last, (low, high))
    return figure


def _cut_lines(effect: Effect, extent: int) -> list[Line]:
    """The curves beside a map: its values along a row or two.

    At the input, similarity to a token in the middle of the trained positions and to one in the middle of those
    beyond. In scores, values by distance from the last query; where an earlier query sees other values at the same
    distance, from the last trained query as well, dashed. A colour is a token or a head.
    """
    if effect.place == "input":
        near, far = effect.values[0, TRAINED // 2 - 1], effect.values[0, TRAINED * 3 // 2 - 1]
        return [Line(near, 0, dashes=0), Line(far, 1, dashes=1)]
    late = _by_distance(effect, SHOWN)
    if _follows_query(effect):
        both = enumerate([late, _by_distance(effect, TRAINED)])
        return [Line(row, colour, dashes) for dashes, rows in both for colour, row in enumerate(rows)]
    return [Line(row[:extent], head, head) for head, row in enumerate(late)]


def _by_distance(effect: Effect, query: int) -> Float[Tensor, "h query"]:
    """Values of one query, counted from 1, by distance: from the query itself back to the first key."""
    return effect.values[:, query - 1, :query].flip(-1)


def _follows_query(effect: Effect) -> bool:
    """Whether an earlier query sees other values at the same distance, as in FIRE."""
    if effect.place == "input" or effect.values.shape[-1] != SHOWN:
        return False
    early, late = _by_distance(effect, TRAINED), _by_distance(effect, SHOWN)[:, :TRAINED]
    low, high = _range(effect)
    # Relative to the range of values: smaller differences could not be seen in the picture.
    return not torch.allclose(early, late, atol=1e-4 * (high - low), equal_nan=True)


def _choose_extent(effect: Effect) -> int:
    """How many positions to draw: all, or `FEW` if the last change by distance comes early among them."""
    if effect.place == "input":
        return SHOWN
    row = _by_distance(effect, SHOWN).nan_to_num(nan=-torch.inf)  # NaN differs from itself
    changes = (row[:, 1:] != row[:, :-1]).any(0).nonzero().flatten().tolist()
    return FEW if changes and changes[-1] <= FEW // 3 else SHOWN


def _select_pairs(effect: Effect) -> Float[Tensor, "h p"]:
    """Values of the pairs of tokens that a map shows: all, or those with the key at or behind the query."""
    n = effect.values.shape[-1]
    pairs = torch.ones(n, n).bool()
    return effect.values[:, pairs if effect.place == "input" else pairs.tril()]


def _range(effect: Effect) -> tuple[float, float]:
    """The least and the largest value; of a flat effect one apart, as colours need a range."""
    finite = effect.values[effect.values.isfinite()]
    low = float(finite.min())
    return (low, low + 1) if _is_flat(effect) else (low, float(finite.max()))


def _is_flat(effect: Effect) -> bool:
    """Whether there is one value only, beside hidden keys: a window, whose map needs no colours explained."""
    finite = effect.values[effect.values.isfinite()]
    return bool(finite.max() - finite.min() < 1e-9)


def _draw_over_tokens(shown: Demonstration, symbols: str) -> Figure:
    """Draw maps of the first head over a problem's tokens: of the only place, beside the ids, or of two places."""
    alone = len(shown.effects) == 1
    # Two maps are smaller than one, as each has its colours explained at its right.
    side, lefts = (SIDES[1], [0.28, 1.96]) if alone else (0.97, [0.36, 2.06])
    widths = [1.3 if alone else side, side]
    page = Canvas(WIDTH, BOTTOM + side + TOP)
    both = [page.panel(left, BOTTOM, width, side) for left, width in zip(lefts, widths, strict=True)]
    if alone:
        stems = both.pop(0)
        panels.draw_stems(stems, shown.ids)
        panels.label_tokens(stems, symbols, down=False)
    for square, effect in zip(both, shown.effects[:2], strict=True):
        _draw_token_map(square, effect, symbols)
    return page.figure


def _draw_token_map(square: Axes, effect: Effect, symbols: str) -> None:
    first = Effect(effect.place, effect.values[:1])
    panels.draw_map(square, first.values[0], _range(first), effect.place != "input")
    panels.label_tokens(square, symbols)
    if effect.place == "input":
        square.set_xlabel("token")
        square.set_ylabel("token", labelpad=4)
    if not _is_flat(first):
        panels.add_colour_bar(square, _range(first))
    square.set_title(NAMES[effect.place] + (", head 1" if len(effect.values) > 1 else ""))


def _draw_mask() -> Figure:
    """Draw which keys a query may see, and the weight that equal scores give to each, one over their number."""
    figure, (square,), last = _lay_out(1)
    panels.draw_map(square, torch.zeros(SHOWN, SHOWN), (0, 1), causal=True)
    panels.label_positions(square, SHOWN, "key", "query")
    square.set_title("visible keys")
    panels.draw_curves(last, [Line(1 / torch.arange(1.0, SHOWN + 1), 0, dashes=0)], (1 / SHOWN, 1), 1, "query")
    last.set_ylabel("weight")
    return figure
