"""Results that are committed: a curve and a seed at a time."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from arith.config.recipe import load, names
from arith.errors import RunError
from arith.figures.report import draw_report
from arith.process.progress import QUIET
from arith.results.schema import Results
from arith.sweeps.publish import command_of
from arith.sweeps.worker import RunOrder

Arith = Callable[..., Result]


def test_curves_that_are_not_trained_come_from_committed_results(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arith.sweeps.publish.results_folder", lambda: tmp_path / "results")
    recipe_text = (
        "live = ['a']\nseeds = [1, 2, 3, 4, 5]\n[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n"
        "[evaluation]\ndigits = [2]\nsamples = 4\n[published.evaluation]\nsamples = 5\n"
        "[curves.a]\nencoding = 'rope'\n[curves.b]\nencoding = 'nope'\n"
    )
    (tmp_path / "mini.toml").write_text(recipe_text)
    alone = arith("reproduce", "mini.toml", "--out", "alone")
    assert "is not there, so the figure has only the curves that are trained here" in alone.stderr
    assert arith("reproduce", "mini.toml", "--out", "published", "--seeds", "5", "--publish").exit_code == 0
    assert {cell.n for cell in Results.load(tmp_path / "results" / "mini.json").cells} == {5}
    assert (tmp_path / "results" / "mini.svg").stat().st_size

    both = arith("reproduce", "mini.toml", "--out", "both")
    assert "Trained here: a. From committed results: b." in both.stdout
    assert {cell.label for cell in Results.load(tmp_path / "both" / "results.json").cells} == {"a"}
    (tmp_path / "mini.toml").write_text(recipe_text.replace("'nope'", "'t5'"))
    changed = arith("reproduce", "mini.toml", "--out", "both")
    assert "has no results of 'b' as the recipe is now" in changed.stderr


def test_a_curve_is_published_beside_those_that_are(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arith.sweeps.publish.results_folder", lambda: tmp_path / "results")
    recipe_text = (
        "seeds = [1, 2, 3, 4, 5]\n[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n"
        "[evaluation]\ndigits = [2]\nsamples = 4\n[curves.a]\nencoding = 'rope'\n"
    )
    recipe, published = tmp_path / "mini.toml", tmp_path / "results" / "mini.json"
    both = "[curves.b]\nencoding = 'nope'\n" + recipe_text[recipe_text.index("[curves.a]") :]
    publish = ("--seeds", "5", "--publish")
    recipe.write_text(recipe_text)
    assert arith("reproduce", "mini.toml", "--out", "first", *publish).exit_code == 0
    before = Results.load(published)

    recipe.write_text(recipe_text.replace("[curves.a]\nencoding = 'rope'\n", both))
    added = arith("reproduce", "mini.toml", "--out", "second", "--only", "b", *publish)
    assert added.exit_code == 0, added.output
    after = Results.load(published)
    labels = [cell.label for cell in after.cells]
    assert labels == sorted(labels, reverse=True), "in the order of the recipe"
    assert tuple(cell for cell in after.cells if cell.label == "a") == before.cells
    assert {name: after.about["runs"][name] for name in before.about["runs"]} == before.about["runs"]
    assert len(after.about["runs"]) == 10

    for old, new in (("'rope'", "'t5'"), ("samples = 4", "samples = 5"), ("steps = 2", "steps = 3")):
        recipe.write_text(recipe.read_text().replace(old, new))
        refused = arith("reproduce", "mini.toml", "--out", f"not-{new[-1]}", "--only", "b", *publish)
        assert refused.exit_code == 2
        assert "has no results of a as the recipe is now" in refused.output
        assert not list(tmp_path.glob("not-*")), "nothing is trained before that is known"
        recipe.write_text(recipe.read_text().replace(new, old))


def test_published_results_have_the_command_that_makes_all_of_them(root: Path) -> None:
    found = [(name, Results.load(path)) for name in names() if (path := root / "results" / f"{name}.json").is_file()]
    of_models = {name: results for name, results in found if results.cells}
    assert len(of_models) > 20
    assert "--only" not in of_models["lego"].about["command"], "its curves came one after another"
    for name, results in of_models.items():
        assert results.about["command"] == command_of(load(name), results.cells)


def test_results_are_published_by_curve_and_seed(arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arith.sweeps.publish.results_folder", lambda: tmp_path / "results")
    recipe, published = tmp_path / "mini.toml", tmp_path / "results" / "mini.json"
    recipe.write_text(
        "seeds = [1, 2, 3, 4, 5]\n[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n"
        "[evaluation]\ndigits = [2]\nsamples = 4\n[curves.b]\nencoding = 'nope'\n[curves.a]\nencoding = 'rope'\n"
    )

    notes: list[dict[str, str]] = []

    def draw(results: Results, path: Path, title: str, said: dict[str, str], **others: Any) -> Any:
        notes.append(said)
        return draw_report(results, path, title, said, **others)

    monkeypatch.setattr("arith.sweeps.publish.draw_report", draw)

    def publish(*options: str) -> str:
        ran = arith("reproduce", "mini.toml", "--publish", *options)
        assert ran.exit_code == 0, ran.output
        return ran.output

    first = publish("--only", "a", "--seeds", "2")
    assert "missing  b (0 of 5 seeds), a (2 of 5 seeds)" in first
    assert {(cell.label, cell.model_seed) for cell in Results.load(published).cells} == {("a", 1), ("a", 2)}
    assert notes == [{"a": "development"}], "the figure says so beside the curve"
    before = Results.load(published)
    shutil.rmtree(tmp_path / "runs")
    second = publish("--seeds", "5")
    assert "[6/10] a, seed 1: published earlier" in second
    assert "[8/10] a, seed 3\n" in second
    assert "missing" not in second
    after = Results.load(published)
    runs = list(dict.fromkeys((cell.label, cell.model_seed) for cell in after.cells))
    assert runs == [(own, seed) for own in "ba" for seed in range(1, 6)]
    # Neither command lines nor imports of single runs: they hold paths of a machine.
    assert {name for record in after.about["runs"].values() for name in record} == {
        *("created", "commit", "device", "versions")
    }
    assert set(before.cells) <= set(after.cells)
    assert before.about["runs"].items() <= after.about["runs"].items()
    again = publish("--only", "a", "--seeds", "1", "--overwrite")
    assert "[1/1] a, seed 1\n" in again, "what is published is trained anew too"
    assert len(Results.load(published).cells) == len(after.cells)
    assert "finished earlier" in publish("--only", "a", "--seeds", "1")
    shutil.rmtree(tmp_path / "runs")
    assert "[1/1] a, seed 1: published earlier" in publish("--only", "a", "--seeds", "1"), "into a folder that is new"


def test_what_finished_beside_a_failed_run_is_published(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arith.sweeps.publish.results_folder", lambda: tmp_path / "results")
    monkeypatch.setenv(QUIET, "1")  # which the work sets for good

    def finish_one(orders: Sequence[RunOrder], *_: object) -> None:
        assert orders[0]().state == "finished"
        raise RunError("1 of 2 runs failed")

    monkeypatch.setattr("arith.sweeps.reproduce.run_all", finish_one)
    (tmp_path / "mini.toml").write_text(
        "seeds = [1, 2]\n[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n"
        "[evaluation]\ndigits = [2]\nsamples = 4\n"
    )
    ran = arith("reproduce", "mini.toml", "--publish", "--seeds", "2", "--jobs", "2")
    assert ran.exit_code == 1
    assert "1 of 2 runs failed" in ran.stderr
    assert {cell.model_seed for cell in Results.load(tmp_path / "results" / "mini.json").cells} == {1}
    assert (tmp_path / "runs" / "mini" / "figures" / "mini.png").is_file()
