"""What holds of the layout of every figure."""

import itertools

from matplotlib.figure import Figure
from matplotlib.text import Text


def check_layout(figure: Figure) -> None:
    """No text is cut off by the edge, and none covers another."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    page = figure.bbox
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    ticks = [tick for axis in axes for tick in (*axis.majorTicks, *axis.minorTicks)]
    # Ticks beyond an axis's limits are there, and not drawn.
    hidden = {id(label) for tick in ticks for label in (tick.label1, tick.label2)}
    hidden -= {id(tick.label1) for axis in axes for tick in axis._update_ticks()}  # type: ignore[attr-defined]
    shown = [text for text in texts if text.get_visible() and text.get_text().strip() and id(text) not in hidden]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in shown]
    assert boxes
    for words, box in boxes:
        assert box.x0 >= page.x0 - 1, f"{words!r} is cut at the left"
        assert box.x1 <= page.x1 + 1, f"{words!r} is cut at the right"
        assert box.y0 >= page.y0 - 1, f"{words!r} is cut below"
        assert box.y1 <= page.y1 + 1, f"{words!r} is cut above"
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or down <= 1, f"{one!r} and {other!r} cover each other"
