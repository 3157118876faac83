"""Where things stand in a plot."""

import pytest

from arith.figures.style import DASHES, MARKERS
from arith.report.chart import SHAPES, Scale, dashes_of, lengths_axis, log_axis, marker_of, plot, point
from tests.arith.report.pages import Reader


def test_every_marker_and_dash_of_the_figures_can_be_drawn_and_differs() -> None:
    assert {marker_of(curve) for curve in range(len(MARKERS))} == set(SHAPES.values())
    assert len({dashes_of(curve) for curve in range(len(DASHES))}) == len(DASHES)
    # With more curves than colours, those of one colour have another marker.
    assert marker_of(0) != marker_of(8)


@pytest.mark.parametrize(("lengths", "log"), [([1, 2, 10], False), ([1, 2, 11], True)])
def test_lengths_over_more_than_a_factor_of_ten_stand_on_a_logarithmic_axis(lengths: list[int], log: bool) -> None:
    axis = lengths_axis(lengths, "digits")
    assert axis.scale.log is log
    places = [axis.scale.at(length) for length in lengths]
    assert 0 < places[0] < places[1] < places[2] < 100


def test_a_narrow_page_has_fewer_ticks() -> None:
    axis = lengths_axis(list(range(1, 31)), "digits")
    narrow = [at for at, _, fits in axis.ticks if fits]
    assert 2 <= len(narrow) < len(axis.ticks)
    assert {1, 30} <= set(narrow)


def test_logarithmic_ticks_are_inside_even_of_one_value() -> None:
    for low, high in ((0.2, 0.2), (1e-6, 3.0), (2.0, 2.3)):
        axis = log_axis(low, high, "loss")
        assert axis.ticks
        assert all(0 <= axis.scale.at(at) <= 100 for at, _, _ in axis.ticks)


def test_points_are_reached_by_arrow_keys_and_say_what_they_are() -> None:
    axis = lengths_axis([1, 2], "digits")
    read = Reader(plot(axis, axis, point(25, 50, "1 digit: 5%", 3, 1), name="A plot"))
    assert read.elements[1][1] == {"class": "plot", "role": "group", "aria-label": "A plot", "data-roving": None}
    (found,) = read.of_class("point")
    assert (found["role"], found["tabindex"], found["data-x"], found["data-y"]) == ("img", "-1", "3", "1")
    assert read.texts["title"] == ["1 digit: 5%"]


def test_a_scale_of_one_value_has_it_in_the_middle() -> None:
    assert Scale(3, 3).at(3) == 50
