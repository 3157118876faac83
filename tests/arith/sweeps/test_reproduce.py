"""Recipes, and what arith reproduce makes of them."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from arith.config import recipe
from arith.errors import RunError
from arith.figures.report import draw_report
from arith.results.schema import GRID, Results
from arith.sweeps.worker import RunOrder

Arith = Callable[..., Result]

SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_dry_runs(arith: Arith, tmp_path: Path, name: str) -> None:
    loaded = recipe.load(name)
    text = recipe.file_and_scale(name)[0].read_text()
    assert text.startswith("# "), "the first line says what it is"
    assert "# arith " in text, "and the next ones the command"
    command = ["reproduce", name, "--all"] if loaded.curves else ["train", "--recipe", name]
    shown = arith(*command, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "parameters" in shown.stdout
    assert not list(tmp_path.iterdir())


def test_a_recipe_has_scales(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(
        "[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n[evaluation]\ndigits = [2]\nsamples = 4\n"
        "[curves.a]\nencoding = 'rope'\n"
        "[scales.short]\ntitle = 'Short'\n"
        "[scales.long]\nseeds = [7]\ntraining = { steps = 3 }\ncurves = { b = { encoding = 'nope' } }\n"
    )
    first = recipe.load(str(tmp_path / "mini.toml"))
    assert (first.name, first.title, first.labels()) == ("mini-short", "Short", ["a"])
    ran = arith("reproduce", "mini.toml", "--scale", "long", "--out", "out")
    assert ran.exit_code == 0, ran.output
    cells = Results.load(tmp_path / "out" / "results.json").cells
    assert {(cell.label, cell.model_seed, cell.step) for cell in cells} == {("a", 7, 3), ("b", 7, 3)}
    unknown = arith("reproduce", "mini.toml", "--scale", "lon")
    assert unknown.exit_code == 2
    assert "has no scale 'lon'. Did you mean 'long'? Scales: short, long" in unknown.stderr
    assert "has no scale 'long'. It has no scales" in arith("reproduce", "extrapolation", "--scale", "long").stderr


def test_a_grid_in_a_recipe_is_measured_and_drawn(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(
        "[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n[curves.a]\nencoding = 'rope'\n"
        "[evaluation]\ndigits = [2]\nsamples = 4\ngrid = '1-3x2'\ngrid_samples = 5\n"
    )
    ran = arith("reproduce", "mini.toml", "--out", "out")
    assert ran.exit_code == 0, ran.output
    cells = [cell for cell in Results.load(tmp_path / "out" / "results.json").cells if cell.suite == GRID]
    assert [(cell.operand_lengths, cell.n) for cell in cells] == [((1, 2), 5), ((2, 2), 5), ((3, 2), 5)]
    assert (tmp_path / "out" / "figures" / "mini-grid.png").stat().st_size
    assert "finished earlier" in arith("reproduce", "mini.toml", "--out", "out").stderr
    other = arith("evaluate", "out/a-0", "--grid", "1-2", "--samples", "3", "--json")
    assert [cell["operand_lengths"] for cell in json.loads(other.stdout)["cells"]] == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_reproduce_draws_and_takes_up_what_is_done(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(
        "# Small\nlive = ['a', 'b']\nseeds = [1, 2]\n[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n"
        "[evaluation]\ndigits = [1, 3]\nsamples = 4\n"
        "[curves.a]\nencoding = 'rope'\n[curves.b]\nencoding = 'coupled-window'\n"
    )
    first = arith("reproduce", "mini.toml", "--out", "out", "--seeds", "2")
    assert first.exit_code == 0, first.output
    assert len(Results.load(tmp_path / "out" / "results.json").cells) == 2 * 2 * 2 * 2
    assert (tmp_path / "out" / "figures" / "mini.png").stat().st_size
    again = arith("reproduce", "mini.toml", "--out", "out", "--seeds", "2")
    assert again.stderr.count("finished earlier") == 4
    assert again.stdout == first.stdout

    # Testing the same runs otherwise trains nothing again; training them otherwise is another experiment.
    text = (tmp_path / "mini.toml").read_text()
    (tmp_path / "mini.toml").write_text(text.replace("samples = 4", "samples = 6"))
    tested = arith("reproduce", "mini.toml", "--out", "out", "--seeds", "2")
    assert tested.exit_code == 0, tested.output
    assert "finished earlier" not in tested.stderr
    assert {cell.n for cell in Results.load(tmp_path / "out" / "results.json").cells} == {6}
    (tmp_path / "mini.toml").write_text(text.replace("steps = 2", "steps = 3"))
    other = arith("reproduce", "mini.toml", "--out", "out")
    assert other.exit_code == 2
    assert "training.steps: 2 before, 3 now" in other.stderr
    assert arith("reproduce", "mini.toml", "--out", "out", "--overwrite").exit_code == 0


def test_a_half_trained_run_is_not_taken_for_finished(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(
        "[data]\ndigits = '1-2'\n[training]\nsteps = 6\nbatch = 4\ncheckpoint_every = 2\n[evaluation]\ndigits = [2]\n"
        "samples = 4\n[curves.a]\nencoding = 'rope'\n"
    )
    assert arith("reproduce", "mini.toml", "--out", "out").exit_code == 0
    shutil.rmtree(tmp_path / "out" / "a-0" / "checkpoints" / "step-00000006")
    assert arith("evaluate", "out/a-0", "--out", "half.json").exit_code == 0
    (tmp_path / "half.json").replace(tmp_path / "out" / "a-0" / "results.json")
    assert Results.load(tmp_path / "out" / "a-0" / "results.json").cells[0].step == 4
    again = arith("reproduce", "mini.toml", "--out", "out")
    assert "finished earlier" not in again.stderr
    assert {cell.step for cell in Results.load(tmp_path / "out" / "results.json").cells} == {6}


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
    assert notes == [{"a": "development, 2 seeds"}], "the figure says so beside the curve"
    before = Results.load(published)
    shutil.rmtree(tmp_path / "runs")
    second = publish("--seeds", "5")
    assert "[6/10] a, seed 1: published earlier" in second
    assert "[8/10] a, seed 3\n" in second
    assert "missing" not in second
    after = Results.load(published)
    runs = list(dict.fromkeys((cell.label, cell.model_seed) for cell in after.cells))
    assert runs == [(own, seed) for own in "ba" for seed in range(1, 6)]
    assert set(before.cells) <= set(after.cells)
    assert before.about["runs"].items() <= after.about["runs"].items()
    again = publish("--only", "a", "--seeds", "1", "--overwrite")
    assert "[1/1] a, seed 1\n" in again, "what is published is trained anew too"
    assert len(Results.load(published).cells) == len(after.cells)
    assert "finished earlier" in publish("--only", "a", "--seeds", "1")


def test_what_finished_beside_a_failed_run_is_published(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arith.sweeps.publish.results_folder", lambda: tmp_path / "results")

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


def test_a_recipe_of_one_run_is_one_curve(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("[training]\nsteps = 2\nbatch = 4\n[evaluation]\ndigits = [2]\nsamples = 4\n")
    ran = arith("reproduce", "one.toml", "--out", "out")
    assert ran.exit_code == 0, ran.output
    assert {cell.label for cell in Results.load(tmp_path / "out" / "results.json").cells} == {"one"}


def test_a_finished_run_replays_from_its_run_json(arith: Arith, tmp_path: Path) -> None:
    arith("train", *SMALL, "--encoding", "t5", "--seed", "3", "--out", "run")
    (tmp_path / "run").rename(tmp_path / "run:1")
    replayed = arith("train", "--recipe", "run:1/run.json", "--out", "again")
    assert replayed.exit_code == 0, replayed.output
    first, second = (Results.load(tmp_path / name / "results.json").cells for name in ("run:1", "again"))
    assert [(c.encoding, c.model_seed, c.correct) for c in first] == [
        (c.encoding, c.model_seed, c.correct) for c in second
    ]
