"""Text tables."""

from arith.results.schema import Results, Series, watched_name
from arith.results.tables import fit_table
from tests.arith.examples import cell


def watched(run: str, *accuracies: tuple[float, ...], tokens: float = 2000.0) -> list[Series]:
    """Accuracies at one digit, two digits and so on, at steps 10, 20 and 30."""
    steps = (10, 20, 30)
    found = [Series(run, watched_name(digits), steps, own) for digits, own in enumerate(accuracies, 1)]
    counted = [("samples", 1000.0), ("tokens", tokens)] if tokens else [("samples", 1000.0)]
    return found + [Series(run, name, steps, tuple(step * each for step in steps)) for name, each in counted]


def table(*rows: list[Series], trained: tuple[int, int] = (1, 2)) -> list[list[str]]:
    labels = {row.run.rpartition("-")[0] for part in rows for row in part}
    cells = tuple(cell(label, train_lengths=trained) for label in labels)
    printed = fit_table(Results(cells, series=tuple(row for part in rows for row in part)))
    return [line.split("  ") for line in printed.splitlines()[1:-1]]


def test_all_trained_lengths_are_waited_for_and_no_others() -> None:
    rows = watched("plain-1", (0.5, 1.0, 1.0), (0.2, 0.98, 0.99), (0.0, 0.0, 0.0))
    assert [text.strip() for text in table(rows)[0] if text] == ["plain", "1", "1/1", "30", "60"]
    assert [text.strip() for text in table(rows, trained=(1, 1))[0] if text] == ["plain", "1", "1/1", "20", "40"]


def test_seeds_that_do_not_fit_are_the_slowest() -> None:
    good, bad = ((1.0, 1.0, 1.0),) * 2, ((0.9, 0.9, 0.9),) * 2
    found = table(watched("a-1", *good), watched("a-2", *good), watched("a-3", *bad), watched("b-1", *bad))
    assert [[text.strip() for text in line if text] for line in found] == [
        ["a", "3", "2/3", "10 (-)", "20 (-)"],
        ["b", "1", "0/1", "-", "-"],
    ]


def test_lines_stand_in_the_order_that_is_given() -> None:
    series = tuple(row for run in ("a-1", "b-1", "c-1") for row in watched(run, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)))
    results = Results(tuple(cell(label, train_lengths=(1, 2)) for label in "abc"), series=series)
    lines = fit_table(results, ["c", "missing", "a"]).splitlines()[1:-1]
    assert [line[0] for line in lines] == ["c", "a", "b"]


def test_tokens_that_were_not_counted_are_left_open() -> None:
    (line,) = table(watched("a-1", (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), tokens=0))
    assert [text.strip() for text in line if text] == ["a", "1", "1/1", "10", "-"]


def test_nothing_is_printed_where_no_trained_length_was_watched() -> None:
    assert fit_table(Results((cell("a"),))) == ""
    assert fit_table(Results((cell("a", train_lengths=(3, 4)),), series=tuple(watched("a-1", (1.0, 1.0, 1.0))))) == ""
