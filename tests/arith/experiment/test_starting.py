"""Training that begins with the weights of another run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file

from arith.config.schema import RunConfig
from arith.config.starting import SHIPPED, fill_in
from arith.data.dataset import Dataset
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.experiment.exported import PREFIX
from arith.experiment.run import Run
from arith.experiment.starting import check_start, digest, load_start
from arith.training.loop import train
from tests.arith.short import short

Arith = Callable[..., Result]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Sums, whose vocabulary has the minus too."""
    config = short(encoding="learned", format="reversed", evaluation={"digits": [1, 2], "samples": 4})
    run = Run.begin(tmp_path_factory.mktemp("runs") / "base", config)
    train(run, Experiment.of(config))
    return run


def beginning(base: Run, **values: Any) -> RunConfig:
    model = {"init": f"run:{base.folder}", **values.pop("model", {})}
    training = {"steps": 6, "batch": 16, "checkpoint_every": 3, "log_every": 1, "evaluate_every": 6}
    settings = {"task": "subtraction", "evaluation": {"digits": [1, 2], "samples": 4}, "training": training}
    return RunConfig.of(fill_in({**settings, **values, "model": model}))


def test_what_is_not_given_is_the_runs(base: Run) -> None:
    config = beginning(base, model={"seed": 7})
    assert (config.task, config.encoding, config.format) == ("subtraction", "learned", "reversed")
    assert (config.model.width, config.model.hidden, config.model.seed) == (32, 32, 7)
    assert config.training.steps == 6
    given = beginning(base, encoding="rope", model={"width": 64})
    assert (given.encoding, given.model.width, given.model.hidden) == ("rope", 64, 32)


def data_tokens(data: Dataset, samples: int) -> list[int]:
    return data.problems.write(data.format, 0, samples).lengths.tolist()  # type: ignore[no-any-return]


def test_training_begins_with_the_weights_that_run_json_names(base: Run, tmp_path: Path) -> None:
    config = beginning(base, training={"steps": 6, "batch": 16, "freeze": "embedding", "optimizer": "sgd"})
    runs = [Run.begin(tmp_path / name, config) for name in ("one", "other")]
    one, other = (train(run, Experiment.of(config)).state_dict() for run in runs)
    assert all(torch.equal(own, other[name]) for name, own in one.items()), "two runs give the same bits"
    start = base.load_checkpoint().model
    assert torch.equal(one["embedding.weight"], start["embedding.weight"])
    assert not torch.equal(one["head.weight"], start["head.weight"])
    recorded = json.loads((tmp_path / "one" / "run.json").read_text())["init"]
    read = {row["step"]: row["tokens"] for row in base.read_metrics()}
    seen = {"samples": base.config.samples_at(12), "tokens": read[12]}
    assert recorded == {"name": "base", "step": 12, "sha256": digest(start), **seen}
    own = sum(data_tokens(Experiment.of(config).training_data(), 6 * 16))
    assert runs[0].read_metrics()[-1]["tokens"] == read[12] + own, "what is begun with counts"
    earlier = beginning(base, model={"init_step": 10})
    found = load_start(Experiment.of(earlier).model(), earlier)
    seen = {"samples": base.config.samples_at(10), "tokens": read[10]}
    assert found == {"name": "base", "step": 10, "sha256": digest(base.load_checkpoint(10).model), **seen}


def test_tokens_that_are_needed_no_more_are_left_out(tmp_path: Path) -> None:
    common: dict[str, Any] = {"encoding": "rope", "format": "reversed", "evaluation": {"digits": [1, 2], "samples": 4}}
    worked = Run.begin(tmp_path / "worked", short(**common, data={"mix": "50% addition reversed+detailed"}))
    train(worked, Experiment.of(worked.config))
    config = RunConfig.of(fill_in({"model": {"init": f"run:{worked.folder}"}, "evaluation": common["evaluation"]}))
    model = Experiment.of(config).model()
    found, before = load_start(model, config), worked.load_checkpoint().model
    assert found is not None
    assert found["sha256"] == digest(before)
    assert len(model.embedding.weight) < len(before["embedding.weight"])
    for name, own in model.state_dict().items():
        assert torch.equal(own, before[name][: len(own)])


def test_a_resumed_run_needs_the_first_one_no_more(base: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(base.folder, copy)
    config = beginning(Run(copy, base.config))
    whole = Run.begin(tmp_path / "whole", config)
    expected = train(whole, Experiment.of(config)).state_dict()
    shutil.rmtree(whole.checkpoints / "step-00000006")
    shutil.rmtree(copy)
    again = Run.open(whole.folder)
    resumed = train(again, Experiment.of(again.config)).state_dict()
    assert all(torch.equal(own, resumed[name]) for name, own in expected.items())
    assert again.load_model(Experiment.of(again.config))[1].step == 6


def test_a_shipped_model_is_begun_with_by_name() -> None:
    config = RunConfig.of(fill_in({"model": {"init": "run:addition"}}))
    model = Experiment.of(config).model()
    load_start(model, config)
    weights = load_file(SHIPPED / "addition" / "model.safetensors")
    assert digest(model.state_dict()) == digest({name.removeprefix(PREFIX): own for name, own in weights.items()})
    later = config.with_values({"model": {"init_step": 1}})
    with pytest.raises(UsageError, match="and of no other: got step 1"):
        check_start(Experiment.of(later))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"model": {"width": 64, "layers": 2}},
            "another shape. model.layers: 1 in the run, 2 here; model.width: 32 in",
        ),
        ({"encoding": "rope"}, "another shape. encoding: learned in the run, rope here"),
        (
            {"format": "plain+scratchpad"},
            "its vocabulary has 17 tokens, and this training's task, format and tests have",
        ),
        ({"evaluation": {"digits": [1, 9], "samples": 4}}, r"encoding.parts.0.table has the shape \(\d+, 32\) there"),
        ({"model": {"init_step": 11}}, "holds no checkpoint of step 11. Steps there: 10, 12"),
        ({"model": {"init": "curve:base"}}, "is a curve of a recipe, which arith reproduce trains first"),
        ({"model": {"init": None, "init_step": 3}, "encoding": "rope"}, "got 3 without one"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(base: Run, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_start(Experiment.of(beginning(base, **values)))


def test_an_unfinished_run_is_refused_unless_its_step_is_named(base: Run, tmp_path: Path, arith: Arith) -> None:
    shutil.copytree(base.folder, tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "checkpoints" / "step-00000012")
    options = ("train", "subtraction", "--init", "run:begun", "--test-digits", "1,2", "--dry-run")
    refused = arith(*options)
    assert refused.exit_code == 2
    assert "is not finished: 10 of 12 steps. Finish it by" in refused.stderr
    assert "--step 10 (model.init_step)" in refused.stderr
    shown = arith(*options, "--step", "10", "--json")
    assert shown.exit_code == 0, shown.stderr
    config = json.loads(shown.stdout)["config"]
    assert (config["model"]["init"], config["model"]["init_step"]) == (f"run:{tmp_path / 'begun'}", 10)
    missing = arith("train", "--init", "run:nowhere")
    assert missing.exit_code == 2
    assert "run:nowhere holds no run (no run.json), and no shipped model is called so" in missing.stderr.replace(
        f"{tmp_path}/", ""
    )


def test_results_of_fine_tuning_keep_its_ratio_of_gradients(
    base: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = beginning(base)
    run = Run.begin(tmp_path / "fine-1", config)
    train(run, Experiment.of(config))
    logged = [(row["step"], row["gradient_ratio"]) for row in run.read_metrics()]
    (series,) = run.tracked()
    assert (series.run, series.name) == ("fine-1", "gradient_ratio")
    assert list(zip(series.steps, series.values, strict=True)) == logged
    monkeypatch.setattr("arith.experiment.run.LARGEST", 4)
    assert run.tracked()[0].steps == (1, 3, 5)
    assert base.tracked() == ()
