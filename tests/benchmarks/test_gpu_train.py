"""The GPU's training benchmark, at sizes a CPU can run."""

import contextlib
import dataclasses
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from arith.config.recipe import load_config
from arith.evaluation.exact_match import cost
from arith.experiment.experiment import Experiment
from arith.model.cost import PASSES
from arith.process.signals import Interrupted


@pytest.fixture
def benchmark(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    monkeypatch.delitem(sys.modules, "gpu_train", raising=False)
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("gpu_train")


def report_of(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("train-*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_every_part_writes_its_own_and_keeps_the_others(benchmark: ModuleType, tmp_path: Path) -> None:
    for part, name in enumerate(("throughput", "multiplication", "addition"), 1):
        benchmark.main(["--tiny", "--part", str(part), "--out", "out"])
        assert name in report_of(tmp_path / "out")
    found = report_of(tmp_path / "out")
    assert list(found) == ["throughput", "multiplication", "addition"]
    assert all(own["about"]["commit"] for own in found.values())
    rows = found["throughput"]["rows"]
    assert [row["case"] for row in rows] == [case.name for case in benchmark.CASES]
    assert not any("skipped" in row for row in rows)
    assert rows[0]["mfu"] is None
    assert {route for row in rows for route in row["routes"]} == {
        "reference: tensors on a cpu run in plain torch",
        "reference: asked for",
    }
    assert len(found["throughput"]["fused_attention"]) == 4
    lengths = [tuple(row["operand_lengths"]) for row in found["multiplication"]["rows"]]
    assert lengths == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert found["multiplication"]["test_share"] > 0
    assert {row["suite"] for row in found["addition"]["rows"]} == {"random", "unequal"}
    pictures = {path.name.split("-threads-")[-1] for path in (tmp_path / "out").glob("*.png")}
    assert pictures == {"throughput.png", "multiplication.png", "addition.png"}


def test_a_case_is_on_disk_before_the_next(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = []

    def noting(experiment: Experiment, **_: Any) -> None:
        before.append(len(report_of(tmp_path / "out")["throughput"]["rows"]) if before else 0)
        raise RuntimeError

    monkeypatch.setattr(benchmark, "measure_throughput", noting)
    benchmark.main(["--tiny", "--part", "1", "--out", "out", "--cases", "85M learned", "--cases", "10M learned, eager"])
    assert before == [0, 1, 2]
    found = report_of(tmp_path / "out")["throughput"]
    assert [row["case"] for row in found["rows"]] == [
        "85M learned, eager",
        "10M learned, eager",
        "85M learned, compiled",
    ], "what compiles comes last"
    assert {"torch", "triton", "ptxas"} <= set(found["about"]["machine"]["versions"])
    benchmark.main(["--tiny", "--part", "1", "--out", "out", "--cases", "85M learned", "--minutes", "-1"])
    assert {row["skipped"] for row in report_of(tmp_path / "out")["throughput"]["rows"]} == {"out of time"}


def test_attention_in_plain_torch_is_only_where_it_is_asked_for(benchmark: ModuleType) -> None:
    experiment = Experiment.of(load_config("coupled-window"))
    with benchmark.attention_by(fused=False):
        assert benchmark.routes(experiment) == ["reference: asked for"]
    assert benchmark.routes(experiment) == ["reference: tensors on a cpu run in plain torch"]


def test_what_fails_or_comes_too_late_is_named(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(benchmark, "measure_throughput", failing)
    report = benchmark.Report(tmp_path, "NVIDIA Tiny, GPU")
    benchmark.speed(benchmark.TINY, report, "cpu")
    rows = json.loads((tmp_path / "train-Tiny-GPU.json").read_text())["throughput"]["rows"]
    assert all("no kernel image" in row["skipped"] for row in rows)
    late = dataclasses.replace(benchmark.TINY, minutes=(-1.0, 0.0, 0.0))
    benchmark.speed(late, report, "cpu")
    rows = json.loads((tmp_path / "train-Tiny-GPU.json").read_text())["throughput"]["rows"]
    assert {row["skipped"] for row in rows} == {"out of time"}


def test_a_training_that_takes_too_long_is_tested_where_it_is(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def at_once(seconds: float) -> Iterator[None]:
        yield
        raise Interrupted("")

    monkeypatch.setattr(benchmark, "stopped_after", at_once)
    benchmark.main(["--tiny", "--part", "3", "--out", "out"])
    found = report_of(tmp_path / "out")["addition"]
    assert found["step"] == found["config"]["training"]["steps"]
    assert found["rows"]


def test_full_sizes_are_what_is_asked_for(benchmark: ModuleType) -> None:
    base = load_config("multiplication-paper:padded-reversed-15")
    for name, most, least in (("85M", 90e6, 84e6), ("10M", 12e6, 9e6)):
        experiment = Experiment.of(base.with_values(benchmark.FULL.models[name]))
        with torch.device("meta"):
            assert least < experiment.model().parameter_count() < most
        # 63 tokens go in of the 64 that a product of 15 digits has with its marks.
        assert experiment.training_data().longest == 64
    far = Experiment.of(load_config("structure-free:fixed-width").with_values(benchmark.FULL.addition))
    assert max(test.digits for test in far.tests.conditions()) >= 200
    assert far.train_lengths == (1, 20)
    with torch.device("meta"):
        assert 9e6 < far.model().parameter_count() < 12e6
        assert not far.encoding().structure_aware
    assert sum(benchmark.FULL.minutes) < 13


def test_a_grid_takes_less_than_a_twentieth_of_one_pass_over_300_thousand_samples() -> None:
    experiment = Experiment.of(load_config("multiplication-paper:padded-reversed-15"))
    with torch.device("meta"):
        model = experiment.model()
    tests = experiment.tests.grid("1-15", 100)
    tokens = experiment.training_data().longest
    testing = sum(test.n for test in tests) * cost(model, tokens)
    assert 0 < testing / (300_000 * PASSES * cost(model, tokens)) < 0.05


def test_needs_a_gpu_and_says_so(benchmark: ModuleType) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit, match="needs a CUDA GPU, and torch sees none"):
        benchmark.main([])
