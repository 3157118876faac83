"""Pictures of encodings: what each does over positions, within a trained length and beyond."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arith.catalogue.entries import ALIASES, ENCODINGS, SCHEMES
from arith.catalogue.examples import SHOWN, TRAINED
from arith.figures import style
from arith.gallery import panels
from arith.gallery.effects import Effect, Probe, probe, probe_scheme
from arith.gallery.panels import PICTURE_STYLE, Line

WIDTH = 3.4  # inches, as all here
LEFT, BOTTOM, TOP, RIGHT = 0.38, 0.36, 0.2, 0.1  # around the panels
SIDES = {1: 1.05, 2: 0.82}  # of the maps, by how many there are
FEW = 12  # positions drawn where everything happens in still fewer
NAMES = {"input": "cosine similarity", "rotation": "mean score", "scores": "added"}
CAPTIONS = {
    "input": "How alike the vectors are that two tokens are given: 1, the same; 0, nothing in common.",
    "rotation": "The score of a query and a key of the same content, as a mean over all contents.",
    "scores": "What is added to the scores.",
}


def draw(folder: Path) -> list[Path]:
    """Draw every encoding, alias and scheme into a folder, each as svg under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [draw_one(name, folder / f"{name}.svg") for name in (*ENCODINGS.names(), *ALIASES)]
    return drawn + [draw_scheme(name, folder / f"scheme-{name}.svg") for name in SCHEMES.names()]


def draw_one(name: str, path: Path) -> Path:
    """Draw one encoding or alias."""
    with _saved(path):
        _drawn(probe(name))
    return path


def draw_scheme(name: str, path: Path) -> Path:
    """Draw the ids of a position scheme."""
    seen = probe_scheme(name)
    with _saved(path):
        side, height = 1.28, BOTTOM + 1.0 + TOP
        figure = pyplot.figure(figsize=(WIDTH, height))
        limits = 0, 1.06 * max(max(ids) for samples in (seen.trained, seen.tested) for ids in samples)
        for left, title, samples in ((0.38, "in training", seen.trained), (2.0, "in tests", seen.tested)):
            panel = figure.add_axes((left / WIDTH, BOTTOM / height, side / WIDTH, 1.0 / height))
            panels.dots(panel, samples)
            panels.tokens(panel, seen.symbols, down=False)
            panel.set_ylim(*limits)
            panel.tick_params(labelleft=title == "in training")
            panel.set_title(title)
    return path


@contextlib.contextmanager
def _saved(path: Path) -> Iterator[None]:
    """The figure that is drawn inside, as a file without a date."""
    with pyplot.rc_context(PICTURE_STYLE):
        yield
        nothing = {"Date": None, "Creator": None} if path.suffix == ".svg" else None
        figure = pyplot.gcf()
        figure.savefig(path, dpi=200, metadata=nothing)
        pyplot.close(figure)


def draw_files(name: str, path: Path) -> list[Path]:
    """Draw one encoding or alias as png, pdf and svg, with its numbers as csv."""
    seen = probe(name)
    with pyplot.rc_context(PICTURE_STYLE):
        files = style.save_figure(_drawn(seen), path)
    pairs = (
        (seen.spec, effect.place, head + 1, q + 1, k + 1, float(value))
        for effect in seen.effects
        for head, values in enumerate(effect.values)
        for q, row in enumerate(values.tolist())
        for k, value in enumerate(row)
        if value == value
    )
    return [*files, style.write_table(path, ["encoding", "place", "head", "query", "key", "value"], pairs)]


def _drawn(seen: Probe) -> Figure:
    if not seen.effects:
        return _mask()
    return _over_tokens(seen, seen.symbols) if seen.symbols else _over_positions(seen)


def caption(seen: Probe) -> str:
    """What a picture shows."""
    if not seen.effects:
        return "Left, the causal mask; right, what weight each key has where all scores are equal."
    said = [CAPTIONS[place] for place in dict.fromkeys(effect.place for effect in seen.effects)]
    if seen.symbols:
        said.append("Over the tokens of an addition" + ("; left, their ids." if len(seen.effects) == 1 else "."))
    elif seen.effects[0].place == "input":
        said.append(f"Right, with the tokens at {TRAINED // 2} and, dashed, {TRAINED + TRAINED // 2}.")
    else:
        heads = len(seen.effects[0].values)
        each = f", each of {heads} heads" if heads > 1 else ""
        said.append(f"Right, by distance from the last query{each}.")
        if _follows_query(seen.effects[0]):
            each = ", each of two heads" if heads > 1 else ""
            said[-1] = f"Right, by distance from the last query and, dashed, from query {TRAINED}{each}."
    if any(bool(_past(effect).isnan().any()) for effect in seen.effects):
        said.append("Hatched: hidden." if seen.effects[0].place != "input" else "Hatched: given none.")
    if seen.by_content:
        said.append("They depend on the content: here every token has the same, drawn at random.")
    if seen.filled:
        said.append("Parameters that start at zero hold an example here: smooth random curves.")
    return " ".join(said)


def _canvas(maps: int) -> tuple[Figure, list[Axes], Axes]:
    """A figure with square panels for maps, and a panel that takes the rest."""
    side = SIDES[maps]
    height = BOTTOM + side + TOP
    figure = pyplot.figure(figsize=(WIDTH, height))
    lefts = [LEFT + number * (side + 0.1) for number in range(maps)]
    rest = lefts[-1] + side + 0.46
    widths = [side] * maps + [WIDTH - RIGHT - rest]
    *squares, last = (
        figure.add_axes((left / WIDTH, BOTTOM / height, width / WIDTH, side / height))
        for left, width in zip([*lefts, rest], widths, strict=True)
    )
    return figure, squares, last


def _over_positions(seen: Probe) -> Figure:
    """Maps of two heads, or of two places where it acts, and curves of the first place."""
    first, *others = seen.effects
    if _follows_query(first):
        first = Effect(first.place, first.values[:2])  # with two curves each
    mapped = [(first, 0), (others[0], 0)] if others else [(first, head) for head in range(min(2, len(first.values)))]
    shown = _extent(first)
    figure, squares, last = _canvas(len(mapped))
    for square, (effect, head) in zip(squares, mapped, strict=True):
        causal = effect.place != "input"
        panels.heat(square, effect.values[head, :shown, :shown], _range(effect), causal)
        panels.positions(square, shown, *(("key", "query") if causal else ("position", "position")))
        several = f", head {head + 1}" if len(effect.values) > 1 else ""
        square.set_title(NAMES[effect.place] + several)
    for square in squares[1:]:
        square.set_ylabel("")
        square.set_yticklabels([])
        square.set_xticks(square.get_xticks()[1:])
    across, start = ("position", 1) if first.place == "input" else ("distance", 0)
    low, high = _range(first)
    panels.curves(last, _lines(first, shown), (low - 1, low) if _flat(first) else (low, high), start, across)
    if not _flat(first):
        panels.key(last, (low, high))
    return figure


def _lines(effect: Effect, shown: int) -> list[Line]:
    """What the map of an effect has along a row or two."""
    if effect.place == "input":
        near, far = effect.values[0, TRAINED // 2 - 1], effect.values[0, TRAINED * 3 // 2 - 1]
        return [Line(near, 0, dashes=0), Line(far, 1, dashes=1)]
    late = _by_distance(effect, SHOWN)
    if _follows_query(effect):
        both = enumerate([late, _by_distance(effect, TRAINED)])
        return [Line(row, colour, dashes) for dashes, rows in both for colour, row in enumerate(rows)]
    return [Line(row[:shown], head, head) for head, row in enumerate(late)]


def _by_distance(effect: Effect, query: int) -> torch.Tensor:
    """From one query back to the first key."""
    return effect.values[:, query - 1, :query].flip(-1)


def _follows_query(effect: Effect) -> bool:
    """Whether the same distance means something else to an earlier query."""
    if effect.place == "input" or effect.values.shape[-1] != SHOWN:
        return False
    early, late = _by_distance(effect, TRAINED), _by_distance(effect, SHOWN)[:, :TRAINED]
    low, high = _range(effect)
    return not torch.allclose(early, late, atol=1e-4 * (high - low), equal_nan=True)


def _extent(effect: Effect) -> int:
    """How many positions to draw."""
    if effect.place == "input":
        return SHOWN
    row = _by_distance(effect, SHOWN).nan_to_num(nan=-torch.inf)
    changes = (row[:, 1:] != row[:, :-1]).any(0).nonzero().flatten().tolist()
    return FEW if changes and changes[-1] <= FEW // 3 else SHOWN


def _past(effect: Effect) -> torch.Tensor:
    """Values of the pairs that are drawn."""
    n = effect.values.shape[-1]
    drawn = torch.ones(n, n).bool()
    return effect.values[:, drawn if effect.place == "input" else drawn.tril()]


def _range(effect: Effect) -> tuple[float, float]:
    finite = effect.values[effect.values.isfinite()]
    low = float(finite.min())
    return (low, low + 1) if _flat(effect) else (low, float(finite.max()))


def _flat(effect: Effect) -> bool:
    """Whether there is one value only, or none."""
    finite = effect.values[effect.values.isfinite()]
    return bool(finite.max() - finite.min() < 1e-9)


def _over_tokens(seen: Probe, symbols: str) -> Figure:
    """Maps over a problem's tokens, of the first head: of the place where it acts, beside the ids, or of two places."""
    side, lefts = (SIDES[1], [0.28, 1.96]) if len(seen.effects) == 1 else (0.97, [0.36, 2.06])
    widths = [1.3 if len(seen.effects) == 1 else side, side]
    height = BOTTOM + side + TOP
    figure = pyplot.figure(figsize=(WIDTH, height))
    both = [
        figure.add_axes((left / WIDTH, BOTTOM / height, width / WIDTH, side / height))
        for left, width in zip(lefts, widths, strict=True)
    ]
    if len(seen.effects) == 1:
        stems = both.pop(0)
        panels.stems(stems, seen.ids)
        panels.tokens(stems, symbols, down=False)
    for square, effect in zip(both, seen.effects[:2], strict=True):
        _token_map(square, effect, symbols)
    return figure


def _token_map(square: Axes, effect: Effect, symbols: str) -> None:
    shown = Effect(effect.place, effect.values[:1])
    panels.heat(square, shown.values[0], _range(shown), effect.place != "input")
    panels.tokens(square, symbols)
    if effect.place == "input":
        square.set_xlabel("token")
        square.set_ylabel("token", labelpad=4)
    if not _flat(shown):
        panels.bar(square, _range(shown))
    square.set_title(NAMES[effect.place] + (", head 1" if len(effect.values) > 1 else ""))


def _mask() -> Figure:
    """What a query may see, and what equal scores give each key."""
    figure, (square,), last = _canvas(1)
    panels.heat(square, torch.zeros(SHOWN, SHOWN), (0, 1), causal=True)
    panels.positions(square, SHOWN, "key", "query")
    square.set_title("visible keys")
    panels.curves(last, [Line(1 / torch.arange(1.0, SHOWN + 1), 0, dashes=0)], (1 / SHOWN, 1), 1, "query")
    last.set_ylabel("weight")
    return figure
