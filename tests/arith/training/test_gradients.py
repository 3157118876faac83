"""Norms of gradients by part."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.training.feed import Feed
from arith.training.gradients import GradientNorms
from arith.training.loop import train
from arith.training.optimiser import build_optimizer
from arith.training.step import training_step
from tests.arith.short import short


def measured(**training: Any) -> tuple[dict[str, Any], float, GradientNorms, torch.nn.Module]:
    """The row of one step, the norm of its whole gradient, and what is left after clipping."""
    experiment = Experiment.of(short(encoding="learned", model={"layers": 3}, training={"clip": 0.01, **training}))
    model, config = experiment.starting_model(), experiment.config.training
    feed = Feed(experiment.training_data(), model.encoding, config, torch.device("cpu"))
    norms = GradientNorms(model)
    _, norm = training_step(model, build_optimizer(model, config), feed.batches(0), config, norms=norms)
    return norms.row(), float(norm), norms, model


def test_parts_make_up_the_whole_gradient_before_it_is_clipped() -> None:
    row, norm, norms, model = measured()
    found = row["gradient_norms"]
    assert list(found) == ["embedding", "blocks.0", "blocks.1", "blocks.2", "head"]
    assert math.sqrt(sum(part**2 for part in found.values())) == pytest.approx(norm, rel=1e-5)
    assert norm > 0.01
    # After the step gradients are clipped, and so are norms that are taken then.
    norms.measure()
    clipped: Any = norms.row()["gradient_norms"]
    assert clipped["head"] == pytest.approx(found["head"] * 0.01 / norm, rel=1e-3)
    tables = [model.embedding.weight, *model.encoding.parameters()]  # type: ignore[union-attr, operator]
    sizes = {"embedding": sum(table.numel() for table in tables)}
    sizes |= {f"blocks.{i}": sum(p.numel() for p in model.blocks[i].parameters()) for i in range(3)}  # type: ignore[index]
    each = {part: found[part] / math.sqrt(size) for part, size in sizes.items()}
    middle = sorted(each[f"blocks.{i}"] for i in range(3))[1]
    assert row["gradient_ratio"] == pytest.approx(each["embedding"] / middle)


@pytest.mark.parametrize(
    ("frozen", "left"), [("embedding", "blocks.0 blocks.1 blocks.2 head"), ("blocks,head", "embedding")]
)
def test_frozen_parts_have_no_norm_and_no_ratio(frozen: str, left: str) -> None:
    row, *_ = measured(freeze=frozen)
    assert list(row["gradient_norms"]) == left.split()
    assert "gradient_ratio" not in row


def test_only_logged_steps_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, calls = short(training={"log_every": 5}), []
    measure = GradientNorms.measure
    monkeypatch.setattr(GradientNorms, "measure", lambda self: (calls.append(1), measure(self)))
    run = Run.begin(tmp_path / "run", config)
    train(run, Experiment.of(config))
    logged = [row["step"] for row in run.read_metrics() if "gradient_norms" in row]
    assert logged == [5, 10, 12]
    assert len(calls) == 3


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("frozen", ["embedding", "blocks", "head", "embedding,head"])
def test_frozen_parts_keep_their_bits_and_the_others_move(tmp_path: Path, frozen: str, optimizer: str) -> None:
    config = short(encoding="learned", training={"freeze": frozen, "optimizer": optimizer, "weight_decay": 0.1})
    experiment = Experiment.of(config)
    trained = train(Run.begin(tmp_path / "run", config), experiment)
    before, after = experiment.model().parameters_by_part(), trained.parameters_by_part()
    for part, parameters in before.items():
        same = [torch.equal(old, new) for old, new in zip(parameters, after[part], strict=True)]
        assert all(same) if part.partition(".")[0] in frozen.split(",") else not all(same)


@pytest.mark.parametrize(
    "values",
    [
        {
            "task": "multiplication",
            "format": "padded-reversed",
            "trace": {"kind": "carry-save"},
            "encoding": "sliding-window",
        },
        {"model": {"layers": 2}, "auxiliary": {"kind": "running-sum"}, "encoding": "t5"},
        {"model": {"layers": 2, "loops": 2}, "encoding": "fire"},
    ],
    ids=lambda values: str(values["encoding"]),
)
def test_each_kind_of_model_has_three_parts(values: dict[str, Any]) -> None:
    model = Experiment.of(short(**values)).model()
    parts = model.parameters_by_part()
    blocks = [f"blocks.{place}" for place in range(len(model.blocks))]
    assert [*parts] == ["embedding", *blocks, "head"]
    assert sum(parameter.numel() for own in parts.values() for parameter in own) == model.parameter_count()
