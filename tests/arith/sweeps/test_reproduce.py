"""What arith reproduce makes of recipes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config import recipe
from arith.results.schema import GRID, Results

Arith = Callable[..., Result]


def test_a_recipe_has_scales(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(
        "[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n[evaluation]\ndigits = [2]\nsamples = 4\n"
        "[curves.a]\nencoding = 'rope'\n"
        "[scales.short]\ntitle = 'Short'\n"
        "[scales.long]\nseeds = [7]\ntraining = { steps = 3 }\ncurves = { b = { encoding = 'nope' } }\n"
    )
    first = recipe.load(str(tmp_path / "mini.toml"))
    assert (first.name, first.title, first.labels) == ("mini-short", "Short", ["a"])
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


def test_a_recipe_of_one_run_is_one_curve(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("[training]\nsteps = 2\nbatch = 4\n[evaluation]\ndigits = [2]\nsamples = 4\n")
    ran = arith("reproduce", "one.toml", "--out", "out")
    assert ran.exit_code == 0, ran.output
    assert {cell.label for cell in Results.load(tmp_path / "out" / "results.json").cells} == {"one"}


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_curve_begins_with_another_one_of_its_seed(
    arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    monkeypatch.setattr("arith.sweeps.publish.results_folder", lambda: tmp_path / "results")
    (tmp_path / "mini.toml").write_text(
        "seeds = [1, 2]\nformat = 'reversed'\n[data]\ndigits = '1-2'\n[training]\nsteps = 2\nbatch = 4\n"
        "[evaluation]\ndigits = [1, 2]\nsamples = 4\n"
        "[curves.fine]\ntask = 'subtraction'\nmodel = { init = 'curve:base' }\n"
        "[curves.base]\nencoding = 'rope'\nmodel = { width = 32 }\n"
    )
    ran = arith("reproduce", "mini.toml", "--only", "fine", "--seeds", "2", "--jobs", jobs, "--publish")
    assert ran.exit_code == 0, ran.stderr
    described = json.loads((tmp_path / "runs/mini/fine-2/run.json").read_text())
    assert described["config"]["model"]["init"] == f"run:{tmp_path / 'runs/mini/base-2'}"
    assert (described["config"]["encoding"], described["config"]["model"]["width"]) == ("rope", 32)
    assert (described["init"]["name"], described["init"]["step"]) == ("base-2", 2)
    published = tmp_path / "results" / "mini.json"
    runs = {(cell.label, cell.model_seed, cell.task) for cell in Results.load(published).cells}
    tasks = {"base": "addition", "fine": "subtraction"}
    assert runs == {(label, seed, task) for label, task in tasks.items() for seed in (1, 2)}
    if jobs == "2":
        return
    # Published results hold no weights: a run that is to be trained anew has its start trained anew too.
    before = published.read_text()
    shutil.rmtree(tmp_path / "runs")
    again = arith("reproduce", "mini.toml", "--only", "fine", "--seeds", "2", "--publish")
    assert again.stderr.count("published earlier") == 4
    anew = arith("reproduce", "mini.toml", "--only", "fine", "--seeds", "1", "--publish", "--overwrite")
    assert anew.exit_code == 0, anew.stderr
    assert (tmp_path / "runs/mini/base-1/run.json").is_file()
    accuracies = [[(c.label, c.model_seed, c.digits, c.correct) for c in Results.load(published).cells]]
    published.write_text(before)
    assert accuracies == [[(c.label, c.model_seed, c.digits, c.correct) for c in Results.load(published).cells]]


def test_a_curve_that_begins_with_no_curve_is_refused(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(
        "[curves.a]\nencoding = 'rope'\n[curves.b]\nmodel = { init = 'curve:a' }\n"
        "[curves.c]\nmodel = { init = 'curve:b' }\n[curves.d]\nmodel = { init = 'curve:e' }\n"
    )
    for label, start in (("c", "b"), ("d", "e")):
        refused = arith("reproduce", "mini.toml", "--only", label, "--dry-run")
        assert refused.exit_code == 2
        assert (
            f"curve '{label}': model.init = \"curve:{start}\" is to name a curve that begins with fresh"
            in refused.stderr
        )
    assert "arith reproduce trains first" in arith("train", "--recipe", "mini.toml:b").stderr


def test_one_curve_that_fails_does_not_stop_the_others(arith: Arith, tmp_path: Path) -> None:
    """As with several runs at a time: a rate of a search may be too high for one curve."""
    (tmp_path / "mini.toml").write_text(
        "[data]\ndigits = '1-2'\n[training]\nsteps = 3\nbatch = 4\n[evaluation]\ndigits = [2]\nsamples = 4\n"
        "[curves.high]\ntraining = { learning_rate = 1e30, optimizer = 'sgd', warmup = 0 }\n"
        "[curves.after]\nmodel = { init = 'curve:high' }\n"
        "[curves.low]\n"
    )
    ran = arith("reproduce", "mini.toml", "--out", "out")
    assert ran.exit_code == 1
    assert "2 of 3 runs failed" in ran.stderr
    assert "after-0: it begins with high-0, which failed" in ran.stderr
    assert {cell.label for cell in Results.load(tmp_path / "out" / "results.json").cells} == {"low"}
    assert (tmp_path / "out" / "figures" / "mini.png").stat().st_size
    assert "[3/3] low, seed 0: finished earlier" in arith("reproduce", "mini.toml", "--out", "out").stderr
