"""Elements of HTML and SVG as text. Whatever is not `Markup` is escaped, so that a label may hold anything."""

import html
import re
from collections.abc import Sequence

EMPTY = frozenset({"br", "input", "meta"})  # elements of HTML that have no end tag
SHORT = 32  # characters of a cell of a table up to which it is not broken into lines
# Control characters are no HTML, and half a character, as a damaged file name may hold, cannot be written as UTF-8.
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """Text that is markup already, and goes into the page as it is."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """The text as markup.

    >>> escape("<b> & \\x00")
    '&lt;b&gt; &amp; \ufffd'
    """
    return text if isinstance(text, Markup) else Markup(html.escape(_UNWRITABLE.sub("\ufffd", text)))


def join(*parts: str) -> Markup:
    """Parts one after the other, each escaped if it is not markup."""
    return Markup("".join(map(escape, parts)))


def element(name: str, /, *children: str, **attributes: str | float | bool | None) -> Markup:
    """An element with its children.

    Args:
        name: the element's name.
        children: what stands in it.
        attributes: `class_` is class, and other underscores are hyphens. True writes the name alone; False and None
            leave the attribute out.

    >>> element("a", "1 < 2", class_="note", data_x=1.50)
    '<a class="note" data-x="1.5">1 &lt; 2</a>'
    """
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    inside = join(*children)
    return Markup(f"<{name}{written}>" + ("" if name in EMPTY else f"{inside}</{name}>"))


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{escape(value) if isinstance(value, str) else number(value)}"'


def number(value: float) -> str:
    """A coordinate, to a hundredth: finer than any screen shows, and short.

    >>> number(12.0), number(1 / 3), number(-0.001)
    ('12', '0.33', '0')
    """
    written = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def table(header: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> Markup:
    """A table whose first column names its rows; it scrolls by itself where it is wider than the page.

    Args:
        header: the names of the columns.
        rows: the cells.
        name: what a screen reader calls it.
    """
    head = element("tr", *(element("th", text, scope="col") for text in header))
    body = [element("tr", element("th", first, scope="row"), *map(_cell, rest)) for first, *rest in rows]
    whole = element("table", element("thead", head), element("tbody", *body))
    # Focusable, or what is cut off could not be scrolled to from a keyboard.
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=name)


def _cell(text: str) -> Markup:
    return element("td", text, class_="long" if len(text) > SHORT else None)


def folded(summary: str, *children: str, opened: bool = False) -> Markup:
    """What is shown when it is asked for."""
    return element("details", element("summary", summary), *children, open=opened)
