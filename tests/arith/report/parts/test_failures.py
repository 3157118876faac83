"""Wrong answers, token under token."""

from arith.report.parts.failures import AROUND, Failure, choose_failures, failure_card, failures_part, weight_of
from tests.arith.report.pages import NASTY, Reader, failure


def test_the_first_wrong_token_is_marked_and_later_ones_underlined() -> None:
    read = Reader(failure_card(Failure(NASTY, failure("9752$", "9613$", 2, answer="x"), "dropped")))
    assert read.texts["mark"] == ["6"]
    assert read.texts["u"] == ["1", "3"]
    assert read.texts["i"] == [*"9752$", "9", "$"]
    assert [values["aria-label"] for name, values in read.elements if name == "mark"] == ["6, the first wrong token"]
    assert "Place 2 of 5: 6 for 7. Dropped carry. Margin 0.25 nats." in read.texts["p"]


def test_numbers_stand_digit_under_digit_with_the_same_digit_marked() -> None:
    # Written from the units on, 975 is 579; the second token is the tens.
    read = Reader(failure_card(Failure("a", failure("975$", "968$", 2, answer="869"))))
    assert read.texts["mark"] == ["6", "6"]
    assert read.texts["u"] == ["8", "8"]
    assert "".join(read.texts["i"]) == "975$" + "9$" + "123" + "456" + "579" + "9"


def test_an_order_that_nobody_can_tell_marks_no_digit() -> None:
    assert weight_of("555$", "555", 1) is None
    assert weight_of("1+2,3$", "3", 1) is None


def test_an_answer_that_ends_too_early_has_its_gap_marked() -> None:
    read = Reader(failure_card(Failure("a", failure("9752$", "975", 4, answer=None))))
    assert read.texts["mark"] == ["\u00a0"]
    assert any("nothing for 2" in text for text in read.texts["p"])
    assert any("no number" in text for text in read.texts["p"])


def test_long_answers_are_cut_around_the_first_wrong_token() -> None:
    right = "1" * 300 + "$"
    read = Reader(failure_card(Failure("a", failure(right, "1" * 199 + "2" + "1" * 100 + "$", 200, answer=None))))
    assert read.texts["mark"] == ["2"]
    assert len(read.texts["i"]) == 2 * AROUND + 1 + 2 * AROUND
    assert read.texts["td"].count("\u2026") == 4


def test_failures_of_each_model_and_length_are_shown_in_turn() -> None:
    failures = [Failure("a", failure(digits=digits, index=at)) for digits in (9, 3) for at in range(20)]
    shown = choose_failures([*failures, Failure("b", failure(digits=20))], most=5)
    told = [(one.label, one.row.digits, one.row.index) for one in shown]
    assert told == [("a", 3, 0), ("b", 20, 0), ("a", 9, 0), ("a", 3, 1), ("a", 9, 1)]
    assert "5 of 40 wrong answers." in failures_part(shown, 40)
