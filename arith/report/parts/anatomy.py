"""Error anatomy: what wrong answers are, at which place in the answer they fail, and after how many carries."""

from collections.abc import Mapping, Sequence

from arith.figures.error_classes import LOOKS, NAMES, choose_lengths
from arith.report.chart import PERCENT, Axis, Scale, linear_axis, plot
from arith.report.lines import DrawnLine, Spot, draw_key, draw_plot
from arith.report.markup import Markup, element, folded, join, number
from arith.results.error_classes import PooledAnatomy
from arith.results.schema import CLASSES, Anatomy
from arith.results.uncertainty import percent, wilson

MEANINGS = {
    "dropped": "every digit is its column's sum with some carry; at the first wrong digit the carry is too small",
    "spurious": "the same, with a carry that is too large",
    "misaligned": "a sum with one operand shifted, all of it or from the first wrong digit on",
    "copied": "every wrong digit is that of an operand in its column",
    "length": "too many or too few tokens",
    "other": "none of these",
}
# Lines of the patterns by which classes differ in grey, in a tile of 6 x 6; the others are plain.
PATTERNS = {"spurious": "M-1 7L7 -1", "copied": "M2.5 3h1", "length": "M-1 -1L7 7", "dropped": "M0 3H6"}


def anatomy_part(anatomies: Sequence[PooledAnatomy], examples: Mapping[str, Markup]) -> Markup:
    """Three charts for each label, then each class with what it means and an example.

    Args:
        anatomies: one per label and suite.
        examples: by class, one wrong answer of it, drawn.
    """
    defined = element("svg", element("defs", *map(_pattern, PATTERNS)), class_="defined", aria_hidden="true")
    total = {name: sum(part.wrong[name] for own in anatomies for part in own.lengths) for name in CLASSES}
    suites = list(dict.fromkeys(own.suite for own in anatomies))
    by_suite = [[_one(own) for own in anatomies if own.suite == suite] for suite in suites]
    others = [folded(f"Suite: {suite} problems", *drawn) for suite, drawn in zip(suites[1:], by_suite[1:], strict=True)]
    return join(defined, *by_suite[0], *others, _classes(total, examples))


def _pattern(name: str) -> Markup:
    box = element("rect", width="6", height="6", class_=f"k-{name} ground")
    lines = element("path", d=PATTERNS[name], class_="hatch")
    return element("pattern", box, lines, id=f"p-{name}", width="6", height="6", patternUnits="userSpaceOnUse")


def _one(anatomy: PooledAnatomy) -> Markup:
    seeds = "" if anatomy.seeds == 1 else f", {anatomy.seeds} seeds together"
    heading = element("h3", f"{anatomy.label}, {anatomy.suite} problems{seeds}")
    if not any(sum(part.wrong.values()) for part in anatomy.lengths):
        asked = sum(part.n for part in anatomy.lengths)
        return join(heading, element("p", f"All {asked} answers are right."))
    shown = choose_lengths(anatomy)
    places = [_by_place(part, number) for number, part in enumerate(shown)]
    chains = [_by_chain(part, number) for number, part in enumerate(shown) if part.chains]
    plots = [_plot(places, "place in the written answer", "tokens right (%)")]
    # A task without carries has none.
    plots += [_plot(chains, "longest carry chain of the problem", "answers right (%)")] if chains else []
    key = draw_key(places, "Show operands of")
    return join(
        heading,
        _bars(anatomy),
        element("figure", element("div", *plots, class_="pair"), key, class_="lines"),
    )


def _bars(anatomy: PooledAnatomy) -> Markup:
    """A bar for each length, divided by what its answers are."""
    count = len(anatomy.lengths)
    step = -(-count // 12)
    ticks = [(at, str(part.digits), at % (2 * step) == 0) for at, part in enumerate(anatomy.lengths) if at % step == 0]
    x, shapes = Axis(Scale(-0.6, count - 0.4), ticks, "digits of the longer operand"), []
    for column, part in enumerate(anatomy.lengths):
        bottom = 0.0
        for row, name in enumerate(LOOKS):
            share = _count(part, name) / part.n
            if share:
                text = (
                    f"{part.digits} digits: {_count(part, name)} of {part.n} answers ({percent(share)}%) {_named(name)}"
                )
                box = {
                    "x": f"{number(x.scale.at(column - 0.4))}%",
                    "width": f"{number(x.scale.at(0.8) - x.scale.at(0))}%",
                    "y": f"{number(100 - bottom - 100 * share)}%",
                    "height": f"{number(100 * share)}%",
                }
                shape = element("rect", class_=f"k-{name}", **box)
                looks = {"class_": "point cell", "role": "img", "tabindex": "-1"}
                place = {"data_x": str(column), "data_y": str(len(LOOKS) - row)}
                shapes.append(element("g", element("title", text), shape, **looks, **place))
            bottom += 100 * share
    y = Axis(PERCENT.scale, PERCENT.ticks, "answers (%)")
    return element("figure", plot(x, y, *shapes, name="Answers by class and length", kind="low"))


def _count(part: Anatomy, name: str) -> int:
    return part.n - sum(part.wrong.values()) if name == "right" else part.wrong[name]


def _named(name: str) -> str:
    return NAMES.get(name, name)


def _by_place(part: Anatomy, place: int) -> DrawnLine:
    spots = [
        Spot(at, 100 * right / n, f"{part.digits} digits, place {at}: {percent(right / n)}% right, n = {n}")
        for at, (right, n) in enumerate(part.positions, 1)
    ]
    return DrawnLine(f"{part.digits} digits", "", place, spots, marked=len(spots) <= 40)


def _by_chain(part: Anatomy, place: int) -> DrawnLine:
    spots = []
    for length, right, n in part.chains:
        low, high = (100 * end for end in wilson(right, n))
        text = f"{part.digits} digits, chain of {length}: {percent(right / n)}% right"
        # Long chains are rare: only the interval tells how little a few answers say.
        text += f", 95% interval {percent(low / 100)} to {percent(high / 100)}, n = {n}"
        spots.append(Spot(length, 100 * right / n, text, (low, high)))
    return DrawnLine(f"{part.digits} digits", "", place, spots, marked=len(spots) <= 40)


def _plot(lines: Sequence[DrawnLine], across: str, up: str) -> Markup:
    places = [spot.x for line in lines for spot in line.spots]
    x = linear_axis(min(places), max(places), across, whole=True)
    return draw_plot(lines, x, Axis(PERCENT.scale, PERCENT.ticks, up), up, kind="low")


def _classes(total: Mapping[str, int], examples: Mapping[str, Markup]) -> Markup:
    """Each class: how it is drawn, how often it is there, what it means, and an example."""
    items = []
    for name in LOOKS:
        swatch = element(
            "svg",
            element("rect", class_=f"k-{name}", width="22", height="14"),
            width="22",
            height="14",
            aria_hidden="true",
        )
        if name == "right":
            items.append(element("dt", swatch, " right"))
            continue
        items.append(element("dt", swatch, f" {_named(name)}: {total[name]}"))
        items.append(element("dd", MEANINGS[name] + ".", *([examples[name]] if name in examples else [])))
    return element("dl", *items, class_="classes")
