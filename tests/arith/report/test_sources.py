"""Which files of a folder are read, and what of them."""

import json
from pathlib import Path

import pytest

from arith.errors import UsageError
from arith.report.sources import Source, merge_cells, name_apart, read_source
from arith.results.predictions import PredictionHeader, Writer
from arith.results.schema import Results
from tests.arith.examples import anatomy, cell, grid_cells
from tests.arith.report.pages import failure


def test_a_run_is_read_with_its_evaluation_metrics_and_predictions(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    Results((cell(),), {"command": "arith train"}).save(run / "results.json")
    evaluated = (cell(correct=1), cell(digits=9), *grid_cells("rope", 2, lambda a, b: 1))
    Results(evaluated, {}, (anatomy("rope", 9, 60),)).save(run / "evaluation.json")
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    (run / "other.jsonl").write_text("no JSON\n")
    header = PredictionHeader("rope", "addition", "plain", "rope", (1, 4), 0, 0, 1, 10, "abc")
    Writer(run / "mine.jsonl", header, ()).write([failure()])
    (run / "run.json").write_text(json.dumps({"command": "arith train addition"}))
    read = read_source(run)
    # The run's own test at 4 digits, not the later one beside it.
    assert [c.correct for c in read.results.cells if c.digits == 4] == [400]
    assert len(read.results.cells) == 1 + 1 + 4
    assert read.training is not None
    assert [path.name for path in read.predictions] == ["mine.jsonl"]
    assert (read.record["command"], len(read.results.anatomy)) == ("arith train addition", 1)


def test_cells_of_other_loops_are_counted_and_not_drawn() -> None:
    merged, unused = merge_cells([cell()], [cell(digits=9), cell(digits=9, loops=8)])
    assert ([c.digits for c in merged], unused) == ([4, 9], 1)
    # Alone, they are what there is.
    assert merge_cells([], [cell(loops=8)])[1] == 0


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        read_source(tmp_path)
    with pytest.raises(UsageError, match=r"gone\.json cannot be read"):
        read_source(tmp_path / "gone.json")


def test_labels_that_two_sources_share_get_their_names() -> None:
    one, two = (
        Source(name, None, Results((cell("rope"), cell(own)), {}, (anatomy("rope", 9, 60),)))
        for name, own in (("a", "t5"), ("b", "nope"))
    )
    named = name_apart([one, two])
    assert [[c.label for c in source.results.cells] for source in named] == [["rope (a)", "t5"], ["rope (b)", "nope"]]
    assert named[0].results.anatomy[0].label == "rope (a)"
    assert named[1].renamed == {"rope": "rope (b)"}
