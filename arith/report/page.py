"""The page: what stands above the parts, the parts, and what was left out."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from arith.report.markup import Markup, element, escape, folded, join

LARGEST = 3 * 2**20  # bytes of a page: most mail servers take it, and a browser opens it at once
KEPT = ("accuracy", "provenance")  # parts that a page is never without


@dataclass(frozen=True)
class Part:
    """A part of the page.

    Args:
        key: its name in links and for programs.
        title: its heading.
        body: what it shows.
    """

    key: str
    title: str
    body: Markup


@dataclass(frozen=True)
class Missing:
    """A part that the page does not have.

    Args:
        title: its heading.
        why: what it would need.
        command: the command that brings it, if one does.
    """

    title: str
    why: str
    command: str = ""


def render_page(
    title: str,
    lead: str,
    parts: Sequence[Part],
    missing: Sequence[Missing],
    made_by: Sequence[str],
    drawn_by: str,
) -> tuple[str, list[str], list[Missing]]:
    """The text of the page.

    Parts that would make it larger than `LARGEST` are left out, the largest first, and named.

    Args:
        title: the heading.
        lead: a sentence below it.
        parts: the parts, in order.
        missing: what is not there.
        made_by: the commands that measured what is shown.
        drawn_by: the command that made the page.

    Returns:
        The text, the keys of the parts in it, and all that was left out.
    """
    shown, left_out = list(parts), list(missing)
    while True:
        text = _document(title, lead, shown, left_out, made_by, drawn_by)
        spare = [part for part in shown if part.key not in KEPT]
        if len(text.encode()) <= LARGEST or not spare:
            return text, [part.key for part in shown], left_out
        largest = max(spare, key=lambda part: len(part.body))
        shown.remove(largest)
        why = f"it would make the page larger than {LARGEST // 2**20} MB: give fewer runs or files"
        left_out.append(Missing(largest.title, why))


def _document(
    title: str,
    lead: str,
    parts: Sequence[Part],
    missing: Sequence[Missing],
    made_by: Sequence[str],
    drawn_by: str,
) -> str:
    style, script = (
        files("arith.report").joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The page asks nothing of any network, and runs this one script: a browser holds it to that, whatever a label says.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    links = [element("li", element("a", part.title, href=f"#{part.key}")) for part in parts]
    top = element(
        "header",
        element("a", "To the numbers", href="#content", class_="skip"),
        element("h1", title),
        element("p", lead, class_="lead"),
        element("nav", element("ul", *links), aria_label="Parts of this page"),
    )
    sections = [_section(part) for part in parts]
    body = element(
        "body",
        top,
        element("main", *sections, *([_missing(missing)] if missing else []), id="content"),
        _footer(made_by, drawn_by),
        element("script", Markup(script)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _section(part: Part) -> Markup:
    heading = element("h2", part.title, id=f"{part.key}-title")
    return element("section", heading, part.body, id=part.key, aria_labelledby=f"{part.key}-title")


def _missing(missing: Iterable[Missing]) -> Markup:
    items = []
    for one in missing:
        command = [": ", element("code", one.command)] if one.command else ["."]
        items.append(element("li", element("b", one.title), f": {one.why}", *command))
    return element("section", element("h2", "Not on this page"), element("ul", *items), id="missing")


def _footer(made_by: Sequence[str], drawn_by: str) -> Markup:
    made = [element("p", "The numbers were measured by"), element("pre", "\n".join(made_by))] if made_by else []
    page = [element("p", "This page was made by"), element("pre", drawn_by)]
    return element("footer", element("section", element("h2", "Make it again"), *made, *page, id="again"))


def show_as_text(tables: Mapping[str, str]) -> Markup:
    """Tables that are text already, each under its name."""
    return join(*(folded(name, element("pre", escape(text)), opened=True) for name, text in tables.items()))
