"""Accuracy at watched lengths: whose problems they are, what is kept of it, and that it changes nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result

from arith.evaluation.answers import decode
from arith.evaluation.exact_match import Watch
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.process.signals import Flag
from arith.results.schema import Results
from arith.tasks import vocabulary
from arith.tasks.mixture import Mixture
from arith.training.loop import train
from tests.arith.short import short

Arith = Callable[..., Result]


def hashes(problems: object, n: int) -> np.ndarray:
    assert isinstance(problems, Mixture)
    return problems.sources[0].hashes(0, n)


def test_watched_problems_are_neither_of_training_nor_of_tests() -> None:
    experiment = Experiment.of(short(data={"digits": "3-4", "seed": 2311}, evaluation={"watch": [3], "digits": [3]}))
    watched = hashes(experiment.watched_data(3).problems, 2000)
    assert len(np.unique(watched)) > 1500
    assert not np.isin(watched, hashes(experiment.training_data().problems, 50_000)).any()
    assert not np.isin(watched, hashes(experiment.test_data("random", 3).problems, 5000)).any()
    # With one seed for both, the periodic evaluation's problems are others all the same.
    assert np.isin(watched, hashes(experiment.validation_data().problems, 2000)).mean() < 0.05


def test_problems_are_the_same_for_runs_of_all_seeds() -> None:
    one, other = (
        Experiment.of(short(data={"seed": seed}, model={"seed": seed}, evaluation={"watch": [6]})) for seed in (1, 2)
    )
    assert (hashes(one.watched_data(6).problems, 50) == hashes(other.watched_data(6).problems, 50)).all()


def test_accuracy_is_that_of_decoded_answers(half_trained: Path) -> None:
    run = Run.open(half_trained)
    experiment = Experiment.of(run.config.with_values({"evaluation": {"watch": [1, 2]}}))
    model, _ = run.load_model(experiment)
    found = Watch(experiment, model).accuracies(model, 60, Flag())
    for digits in (1, 2):
        data = experiment.watched_data(digits)
        written, keys = data.problems.write(data.format, 0, 60), data.problems.keys(0, 60)
        decoded = decode(model, data, written, keys, np.arange(60))
        right = [decoded[row].removesuffix(vocabulary.END) == own for row, (_, own) in enumerate(data.texts(0, 60))]
        assert found[str(digits)] == round(float(np.mean(right)), 4)
    assert 0 < found["1"] < 1


def test_watching_changes_nothing_but_what_is_logged(tmp_path: Path) -> None:
    ends, rows = [], []
    for name, evaluation in (("without", {}), ("with", {"watch": [5, 7]})):
        config = short(encoding="rope", evaluation=evaluation)
        run = Run.begin(tmp_path / name, config)
        ends.append(train(run, Experiment.of(config)).state_dict())
        rows.append([(row["step"], row.get("loss"), row.get("accuracy")) for row in run.read_metrics()])
        watched = [row["step"] for row in run.read_metrics() if "watched" in row]
        assert watched == ([6, 12] if evaluation else [])
    assert rows[0] == rows[1]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_tests_sharpened_are_watched_sharpened(half_trained: Path) -> None:
    run = Run.open(half_trained)
    model, _ = run.load_model(Experiment.of(run.config))
    found = []
    for sharpen in (1.0, 0.05):
        evaluation = {"watch": [1], "sharpen": sharpen}
        experiment = Experiment.of(run.config.with_values({"evaluation": evaluation}))
        found.append(Watch(experiment, model).accuracies(model, 60, Flag())["1"])
    assert found[0] > found[1], "flat attention reads no digit"


def test_results_and_figures_have_the_series(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "watched.toml").write_text(
        "[data]\ndigits = '1-2'\n[model]\nwidth = 8\nheads = 2\nhidden = 8\n"
        "[training]\nsteps = 4\nbatch = 8\nevaluate_every = 2\nevaluate_samples = 8\n"
        "[evaluation]\ndigits = [1]\nsamples = 4\nwatch = [3, 5]\n"
        "[curves.a]\n[curves.b]\nencoding = 'nope'\n"
    )
    ran = arith("reproduce", "watched.toml", "--out", "out")
    assert ran.exit_code == 0, ran.output
    series = Results.load(tmp_path / "out" / "results.json").series
    names = ("accuracy", "accuracy at 3 digits", "accuracy at 5 digits", "samples", "tokens")
    expected = [(run, name, (2, 4)) for run in ("a-0", "b-0") for name in names]
    assert [(row.run, row.name, row.steps) for row in series] == expected
    assert [row.values for row in series if row.name == "samples"] == [(16.0, 32.0)] * 2
    assert "accuracy at 5 digits (%),b,4" in (tmp_path / "out" / "figures" / "watched-training.csv").read_text()
    drawn = arith("plot", "out/a-0", "out/b-0", "--kind", "training", "--out", "curve")
    assert drawn.exit_code == 0, drawn.output
    assert "a-0,accuracy at 3 digits,4" in (tmp_path / "curve.csv").read_text()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["evaluation.watch=0"], "evaluation.watch is 1 or more"),
        (["evaluation.watch=six"], "range such as 1-4"),
        (["evaluation.watch=5", "evaluation.digits=3", "format=padded-reversed:width=4"], "5 digits"),
    ],
)
def test_lengths_that_cannot_be_watched_are_refused(arith: Arith, settings: list[str], said: str) -> None:
    ended = arith("train", *(word for setting in settings for word in ("--set", setting)), "--dry-run")
    assert ended.exit_code == 2
    assert said in ended.stderr
