"""Recipes of studies, by `arith reproduce`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.results.schema import Results

Arith = Callable[..., Result]
RECIPE = """# A small one
title = "A study"
study = "views"
seeds = [1, 2, 3, 4, 5]
samples = 20
dimension = 30
tests = 20
steps = 5
shares = [0.1]
[published]
tests = 30
[curves.plain]
[curves.linear]
linear = true
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("arith.sweeps.publish.results_folder", lambda: tmp_path / "results")
    (tmp_path / "mini.toml").write_text(RECIPE)
    return tmp_path / "mini.toml"


def test_a_study_is_run_seed_by_seed_and_not_again(arith: Arith, recipe: Path, tmp_path: Path) -> None:
    shown = arith("reproduce", "mini.toml", "--dry-run", "--json")
    assert [(row["label"], row["seed"], row["linear"]) for row in json.loads(shown.stdout)] == [
        ("plain", 1, False),
        ("linear", 1, True),
    ]
    assert list(tmp_path.iterdir()) == [recipe], "a dry run writes nothing"
    first = arith("reproduce", "mini.toml", "--seeds", "2")
    assert first.exit_code == 0, first.output
    results = Results.load(tmp_path / "runs" / "mini" / "results.json")
    assert [(row.label, row.seed) for row in results.measurements] == [
        (label, seed) for label in ("plain", "linear") for seed in (1, 2)
    ]
    assert len(results.series) == 2 * 2 * 3
    assert results.about["runs"]["plain-1"]["settings"]["samples"] == 20
    assert "accuracy on rare views" in first.stdout
    assert (tmp_path / "runs" / "mini" / "figures" / "mini.csv").is_file()
    again = arith("reproduce", "mini.toml", "--seeds", "2")
    assert again.stderr.count("finished earlier") == 4
    assert again.stdout == first.stdout

    recipe.write_text(RECIPE.replace("steps = 5", "steps = 6"))
    other = arith("reproduce", "mini.toml")
    assert other.exit_code == 2
    assert "steps: 5 before, 6 now" in other.stderr
    assert arith("reproduce", "mini.toml", "--overwrite").exit_code == 0


def test_a_study_is_published_by_curve_and_seed(arith: Arith, recipe: Path, tmp_path: Path) -> None:
    published = tmp_path / "results" / "mini.json"
    first = arith("reproduce", "mini.toml", "--publish", "--only", "linear", "--seeds", "5", "--out", "a")
    assert first.exit_code == 0, first.output
    assert "missing  plain (0 of 5 seeds)" in first.stdout
    assert {row.n for row in Results.load(published).measurements} == {30}
    both = arith("reproduce", "mini.toml", "--publish", "--seeds", "5", "--out", "b")
    assert both.stderr.count("finished earlier") == 5
    assert "missing" not in both.stdout
    results = Results.load(published)
    assert [row.label for row in results.measurements] == ["plain"] * 5 + ["linear"] * 5
    assert (tmp_path / "results" / "mini.svg").stat().st_size
    recipe.write_text(RECIPE.replace("steps = 5", "steps = 6"))
    refused = arith("reproduce", "mini.toml", "--publish", "--only", "plain", "--seeds", "5", "--out", "c")
    assert refused.exit_code == 2
    assert "has results of linear-1 that are not of the recipe as it is now" in refused.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("study = 'view'", "no study is called 'view'. Did you mean 'views'?"),
        ("study = 3", "study is a text, got 3"),
        ("study = 'views'\nshare = 1", "study 'views': no setting is called 'share'. Did you mean 'shares'?"),
        ("study = 'views'\ntests = 0", "study 'views': tests is 1 or more, got 0"),
        ("study = 'views'\nshares = 'many'", "study 'views': shares"),
        ("study = 'views'\n[data]\ndigits = '1-2'", "study 'views': no setting is called 'data'"),
        ("study = 'threshold'\ntracked = [3.3]", "study 'threshold': tracked"),
    ],
)
def test_mistakes_in_a_study_are_refused_in_words(arith: Arith, tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "bad.toml").write_text(line)
    ended = arith("reproduce", "bad.toml")
    assert ended.exit_code == 2
    assert said in ended.stderr


def test_a_study_trains_no_transformer_and_takes_no_jobs(arith: Arith, recipe: Path) -> None:
    trained = arith("train", "--recipe", "mini.toml", "--dry-run")
    assert trained.exit_code == 2
    assert "is a study, which trains no transformer" in trained.stderr
    jobs = arith("reproduce", "mini.toml", "--jobs", "2")
    assert jobs.exit_code == 2
    assert "got --jobs 2" in jobs.stderr
