"""Recipes as files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config import recipe
from arith.config.recipe import load
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.results.figure_plan import FigurePlan

Arith = Callable[..., Result]


def test_a_recipe_names_contests_among_its_curves(tmp_path: Path) -> None:
    recipe = load("multiplication", "laptop")
    labels = recipe.labels
    assert all({own.of, own.over} <= set(labels) for own in recipe.figure_plan.contests)
    assert len(recipe.figure_plan.contests) == 6
    file = tmp_path / "own.toml"
    file.write_text('contests = [{ of = "a", over = "c", scale = "1" }]\n[curves.a]\n[curves.b]\n')
    with pytest.raises(UsageError, match=r"contest 0 names 'c', and there is no such curve"):
        load(str(file))


def test_chance_is_a_share(tmp_path: Path) -> None:
    file = tmp_path / "guess.toml"
    file.write_text('axis = "bits"\nchance = 0.5\n')
    assert load(str(file)).figure_plan == FigurePlan(axis="bits", chance=0.5)
    file.write_text('against = "examples a call"\n')
    assert load(str(file)).figure_plan == FigurePlan(against="examples a call")
    file.write_text("chance = 50.0\n")
    with pytest.raises(UsageError, match="chance is the accuracy of a guess, between 0 and 1: got 50"):
        load(str(file))


PRETRAINED = [
    name for name in recipe.names() if str(recipe.load(name).values.get("model", {}).get("init")).startswith("hf:")
]


@pytest.mark.parametrize("name", [name for name in recipe.names() if name not in PRETRAINED])
def test_every_recipe_dry_runs(arith: Arith, tmp_path: Path, name: str) -> None:
    loaded = recipe.load(name)
    text = recipe.file_and_scale(name)[0].read_text()
    assert text.startswith("# "), "the first line says what it is"
    assert "# arith " in text, "and the next ones the command"
    command = ["reproduce", name, "--all"] if loaded.curves or loaded.study else ["train", "--recipe", name]
    shown = arith(*command, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert ("trains no transformer" if loaded.study else "parameters") in shown.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", PRETRAINED)
def test_a_recipe_of_a_pretrained_model_says_where_to_put_it(arith: Arith, name: str) -> None:
    folder = recipe.load(name).values["model"]["init"].removeprefix("hf:")
    refused = arith("reproduce", name, "--all", "--dry-run")
    assert refused.exit_code == 2
    assert f"{folder} holds no model of Hugging Face" in refused.stderr
    assert f"--local-dir {folder}\n" in recipe.file_and_scale(name)[0].read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", PRETRAINED)
def test_a_recipe_of_a_pretrained_model_dry_runs(arith: Arith, tmp_path: Path, smollm2: Path, name: str) -> None:
    place = tmp_path / recipe.load(name).values["model"]["init"].removeprefix("hf:")
    place.parent.mkdir(parents=True)
    place.symlink_to(smollm2)
    shown = arith("reproduce", name, "--all", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "parameters" in shown.stdout


def test_labels_of_the_smallest_adder_are_its_parameters() -> None:
    adder = recipe.load("smallest-adder")
    counted = {label: Experiment.of(adder.config(label)).model().parameter_count() for label in adder.labels}
    assert counted == {label: int(label.removeprefix("adder-")) for label in adder.labels}
