"""What is no markup cannot become any."""

from arith.report.markup import Markup, element, join, table
from tests.arith.report.pages import NASTY, Reader


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    read = Reader(element("p", NASTY, element("b", "bold"), title=NASTY))
    (_, attributes), (bold, _) = read.elements
    assert bold == "b"
    assert attributes == {"title": NASTY.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")}
    assert "".join(read.texts["p"]) == attributes["title"]


def test_joined_markup_stays_markup() -> None:
    assert isinstance(join("a", Markup("<br>")), Markup)
    assert join("<", Markup("<br>")) == "&lt;<br>"


def test_tables_scroll_from_a_keyboard_and_have_headers() -> None:
    read = Reader(table(["a", "b"], [["<i>", "2"]], "Numbers"))
    assert read.elements[0][1] == {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Numbers"}
    assert [values["scope"] for name, values in read.elements if name == "th"] == ["col", "col", "row"]
    assert "<i>" in read.texts["th"]
