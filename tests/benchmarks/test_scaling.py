"""How training's cost is fitted and drawn, at sizes that take no time."""

import doctest
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import scaling
from scaling_study import figure, forecast, measurement
from scaling_study import fit as fitting
from scaling_study.figure import draw_scaling
from scaling_study.fit import Fit, fit
from scaling_study.measurement import Point, measure, points

from arith.experiment.experiment import Experiment

SIZES = ((1, 1e6, 1e5), (2, 1e7, 3e6), (4, 1e9, 1e7), (12, 1e11, 8e9), (6, 3e9, 9e7), (4, 2e8, 1e8))
ROWS = [{"axis": "digits", "depth": depth, "flops": flops, "moved_bytes": moved} for depth, flops, moved in SIZES]


def timed(row: dict[str, Any], *coefficients: float) -> float:
    constant, depth, flops, moved = coefficients
    return constant + depth * row["depth"] + flops * row["flops"] + moved * row["moved_bytes"]


@pytest.mark.parametrize(
    "truth",
    [(1e-3, 1e-4, 1e-10, 1e-9), (0.0078125, 6.5e-05, 1e-09, 4.36e-10), (0, 1e-3, 1e-12, 0), (1e-2, 0, 0, 1e-11)],
)
def test_what_is_a_sum_is_found_again(truth: tuple[float, ...]) -> None:
    rows = [{**row, "seconds": timed(row, *truth)} for row in ROWS]
    found = fit(rows)
    assert max(abs(found.seconds(row) / row["seconds"] - 1) for row in rows) < 1e-6
    assert list(found.coefficients.values()) == pytest.approx(truth, rel=1e-4, abs=1e-15)


def test_nothing_costs_less_than_nothing() -> None:
    rows = [{**row, "seconds": 1e-9 * row["flops"] ** 0.9} for row in ROWS]
    found = fit(rows)
    assert min(found.coefficients.values()) >= 0
    assert all(found.low[name] <= found.high[name] for name in found.low)


def test_the_error_is_that_of_sizes_held_out() -> None:
    rows = [{**row, "seconds": timed(row, 1e-3, 1e-4, 1e-10, 1e-10)} for row in ROWS]
    odd = {**rows[2], "axis": "held out", "seconds": 2 * rows[2]["seconds"]}
    with_odd = fit([*rows, odd])
    assert with_odd.error == pytest.approx((0.5, 0.5))
    assert with_odd.coefficients == fit(rows).coefficients


def test_axes_span_two_decades() -> None:
    for axis in ("digits", "batch"):
        values = [getattr(point, axis) for point in points() if point.axis == axis]
        assert max(values) / min(values) >= 100
    sizes = [Experiment.of(p.config()).model().parameter_count() for p in points() if p.axis == "parameters"][::4]
    assert sizes[-1] / sizes[0] > 1000


def test_a_point_is_measured_and_all_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = (
        *(Point(digits, "nano", 2, "digits") for digits in (1, 2)),
        Point(2, "micro", 2, "parameters"),
        Point(2, "nano", 1, "batch"),
        Point(3, "nano", 2, "held out"),
    )
    monkeypatch.setattr(scaling, "points", lambda quick: few)
    monkeypatch.setattr(measurement, "TESTED_FLOPS", 1e6)
    # In this process: a fresh one for each would take seconds.
    monkeypatch.setattr(
        scaling,
        "measure_all",
        lambda wanted, threads, seconds, report: [measure(point, threads, 0.0) for point in wanted],
    )
    found = scaling.study(quick=True, threads=1, say=lambda line: None)
    assert found["rows"][0]["tokens"] == 7
    assert set(found["training_fit"]["coefficients"]) == {"constant", "depth", "flops", "moved_bytes"}
    shown = scaling.description(found)
    assert "held out" in shown
    assert "Foretold, not measured" in shown
    files = draw_scaling(found["rows"], tmp_path / "scaling")
    assert {file.suffix for file in files} == {".png", ".pdf", ".svg", ".csv"}
    assert len((tmp_path / "scaling.csv").read_text().splitlines()) == 1 + len(few)


def test_a_fit_can_be_read_back() -> None:
    rows = [{**row, "seconds": timed(row, 1e-3, 1e-4, 1e-10, 1e-10)} for row in ROWS]
    found = fit(rows)
    again = Fit(**json.loads(json.dumps(found.__dict__)))
    assert again.seconds(rows[0]) == found.seconds(rows[0])


@pytest.mark.parametrize("module", [figure, fitting, forecast], ids=lambda module: module.__name__)
def test_examples_of_the_study_are_right(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
