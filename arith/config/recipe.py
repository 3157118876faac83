"""Recipes: named runs, and figures of several runs, as TOML files.

A file may hold one recipe at several scales: the settings under `[scales.laptop]` replace those above them, and the
file `addition.toml` then holds the recipes addition-laptop and addition-paper.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from arith.config.reading import merge_tables
from arith.config.schema import RunConfig
from arith.config.starting import CURVE, fill_in, go_on_from
from arith.errors import UsageError, did_you_mean
from arith.fields import pop_field, read_field
from arith.process.reading import read_json, read_text, read_toml
from arith.results.figure_plan import PLAIN, Claim, Contest, FigurePlan
from arith.results.rows import read_row

FILES = (".toml", ".json")  # the endings of a path; any other name is a recipe of FOLDER
FOLDER = Path(__file__).parent.parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """One run, or several runs that are drawn in one figure.

    Args:
        name: the file's name, with the scale where there are several.
        title: the figure's title.
        values: settings of all runs, as nested tables.
        curves: labels, each with the settings in which its run differs.
        live: the labels that the demo trains; the others are drawn from published results.
        seeds: the seeds of published results, each for model and data alike.
        published: settings that replace others when results are published, such as more test problems.
        figure_plan: the layout of its figure, and what the curves are compared with.
        study: the small experiment that it is in place of a training, by its name in the catalogue; `values` are then
            the study's settings.
    """

    name: str
    values: dict[str, Any]
    title: str = ""
    curves: tuple[tuple[str, dict[str, Any]], ...] = ()
    live: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    published: dict[str, Any] = field(default_factory=dict)
    figure_plan: FigurePlan = PLAIN
    study: str | None = None

    def for_publication(self) -> "Recipe":
        """The same recipe with the settings of published results."""
        return replace(self, values=merge_tables(self.values, self.published))

    @property
    def labels(self) -> list[str]:
        """The labels of its curves; a recipe of one run has one curve, named like the recipe."""
        return [label for label, _ in self.curves] or [self.name]

    def config(self, label: str | None = None) -> RunConfig:
        """The configuration of one run.

        Args:
            label: the run's label; None for a recipe of one run.

        Raises:
            UsageError: the recipe has several runs, and the label is none of them; or a setting is wrong; or it trains
                no transformer.
        """
        if self.study is not None:
            raise UsageError(
                f"recipe '{self.name}' is a study, which trains no transformer. Run it by arith reproduce {self.name}"
            )
        return RunConfig.of(fill_in(self.config_values(label)))

    def start_of(self, label: str | None) -> str | None:
        """The curve whose trained model a run begins with, if it says `model.init = "curve:LABEL"`.

        Raises:
            UsageError: there is no such curve, or it begins with a curve itself.
        """
        found = self._start_of(label)
        if found is not None and (found not in self.labels or self._start_of(found) is not None):
            raise UsageError(
                f"recipe '{self.name}', curve '{label}': model.init = \"{CURVE}{found}\" is to name a curve that "
                f"begins with fresh weights.{did_you_mean(found, self.labels)} Curves: {', '.join(self.labels)}"
            )
        return found

    def _start_of(self, label: str | None) -> str | None:
        init = merge_tables(self.values, dict(self.curves).get(label or "", {})).get("model", {}).get("init")
        return init.removeprefix(CURVE) if isinstance(init, str) and init.startswith(CURVE) else None

    def in_order(self, labels: Sequence[str]) -> list[str]:
        """These curves, and before them those that they begin with.

        >>> curves = (("sums", {}), ("differences", {"model": {"init": "curve:sums"}}))
        >>> Recipe("both", {}, curves=curves).in_order(["differences"])
        ['sums', 'differences']
        """
        starts = [start for label in labels if (start := self.start_of(label)) is not None]
        return list(dict.fromkeys([*starts, *labels]))

    def config_values(self, label: str | None = None) -> dict[str, Any]:
        """The settings of one run as nested tables, not yet checked; see `config`."""
        if not self.curves:
            return self.values
        curves = dict(self.curves)
        if label is None or label not in curves:
            hint = did_you_mean(label or "", curves)
            raise UsageError(
                f"recipe '{self.name}' is a figure of several runs. Choose one: {self.name}:LABEL.{hint} "
                f"Labels: {', '.join(curves)}"
            )
        values = merge_tables(self.values, curves[label])
        start = self.start_of(label)
        return values if start is None else go_on_from(self.config(start).as_dict(), values)


def names() -> list[str]:
    """The names of the recipes that come with arith, one for each scale."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):  # sorted, as file systems list in any order
        scales = read_toml(path).get("scales", {})
        found += [f"{path.stem}-{scale}" for scale in scales] or [path.stem]
    return found


def load(name: str, scale: str | None = None) -> Recipe:
    """Load a recipe by its name, by the path of a TOML file, or from a run's run.json, which replays that run.

    Args:
        name: the name or path.
        scale: the scale of a recipe that has several; None for the one in the name, or else the first.

    Raises:
        UsageError: there is no such recipe or scale, or the file is wrong.

    >>> load("multiplication", "paper").name
    'multiplication-paper'
    """
    path, scale = file_and_scale(name, scale)
    # A run.json holds all settings, defaults included, so that later defaults do not change what it replays.
    if path.suffix == ".json":
        return Recipe(path.parent.name, _values_of_run(path))
    values = read_toml(path)
    # Popped one by one: what is left at the end are the settings of the runs, which `RunConfig.of` checks.
    scales = pop_field(values, "scales", dict[str, dict[str, Any]], {}, f"{path}: ")
    if scale is None:
        scale = next(iter(scales), None)
    elif scale not in scales:
        known = f"Scales: {', '.join(scales)}" if scales else "It has no scales"
        raise UsageError(f"recipe '{path.stem}' has no scale '{scale}'.{did_you_mean(scale, scales)} {known}")
    values = merge_tables(values, scales[scale]) if scale else values

    def pop(name: str, kind: Any, default: Any) -> Any:
        return pop_field(values, name, kind, default, f"{path}: ")

    # A recipe's own files stand beside it, wherever it is called from.
    if "imports" in values:
        imports = read_field(values["imports"], tuple[str, ...], f"{path}: imports")
        values["imports"] = [str((path.parent / name).resolve()) for name in imports]
    curves, live = pop("curves", dict[str, dict[str, Any]], {}), pop("live", tuple[str, ...], ())
    unknown = [label for label in live if label not in curves]
    if unknown:
        raise UsageError(f"{path}: live names '{unknown[0]}', and there is no such curve")
    study = pop("study", str | None, None)
    claims, contests = pop("claims", list, []), pop("contests", list, [])
    return Recipe(
        name=f"{path.stem}-{scale}" if scale else path.stem,
        title=pop("title", str, ""),
        live=live,
        seeds=pop("seeds", tuple[int, ...], (0,)),
        curves=tuple(curves.items()),
        published=pop("published", dict, {}),
        figure_plan=FigurePlan(
            pop("by_format", bool, False),
            tuple(_claim(claim, f"{path}: claim {place}") for place, claim in enumerate(claims)),
            tuple(_contest(contest, curves, f"{path}: contest {at}") for at, contest in enumerate(contests)),
            pop("axis", str, PLAIN.axis),
            _chance(pop("chance", float, None), path),
            pop("against", str, PLAIN.against),
        ),
        values=values,
        study=study,
    )


def _claim(values: Any, where: str) -> Claim:
    return read_row(Claim, {"format": None, **values} if isinstance(values, dict) else values, where)


def _chance(chance: float | None, path: Path) -> float | None:
    if chance is not None and not 0 < chance < 1:
        raise UsageError(f"{path}: chance is the accuracy of a guess, between 0 and 1: got {chance:g}")
    return chance


def _contest(values: Any, curves: Collection[str], where: str) -> Contest:
    contest = read_row(Contest, values, where)
    for label in (contest.of, contest.over):
        if label not in curves:
            raise UsageError(f"{where} names '{label}', and there is no such curve.{did_you_mean(label, curves)}")
    return contest


def file_and_scale(name: str, scale: str | None = None) -> tuple[Path, str | None]:
    """Find the file of a recipe, and the scale if the name ends with one.

    Args:
        name: a recipe's name, or a path.
        scale: the scale, if it is known apart from the name.

    Raises:
        UsageError: there is no such recipe.
    """
    # What ends like a file is a path, and is never looked up among the recipes that come with arith.
    path = Path(name) if name.endswith(FILES) else FOLDER / f"{name}.toml"
    if path.is_file():
        return path, scale
    if not name.endswith(FILES) and scale is None and name in names():
        stem, _, scale = name.rpartition("-")
        return FOLDER / f"{stem}.toml", scale
    raise UsageError(
        f"no recipe is called '{name}'.{did_you_mean(name, names())} "
        f"Recipes: {', '.join(names())}, or a path to a .toml file or a run.json"
    )


def load_config(text: str) -> RunConfig:
    """Load the configuration of one run, named `NAME`, `NAME:LABEL` or by the path of a file.

    >>> load_config("extrapolation:rope").encoding
    'rope'
    """
    return RunConfig.of(fill_in(load_values(text)))


def load_values(text: str) -> dict[str, Any]:
    """The settings of one run as nested tables, not yet checked or completed; see `load_config`."""
    name, label = text, None
    # C:/runs/x.toml is a path as a whole: only what does not end like a file has a label.
    if ":" in text and not text.endswith(FILES):
        name, _, label = text.rpartition(":")
    recipe = load(name)
    recipe.config(label)  # its own refusals first: a recipe may train no transformer
    return recipe.config_values(label)


def _values_of_run(path: Path) -> dict[str, Any]:
    described = read_json(path)
    if not isinstance(described, dict) or not isinstance(described.get("config"), dict):
        raise UsageError(f"{path} describes no run: it has no table 'config'")
    return dict(described["config"])


def description(name: str) -> str:
    """The first comment line of a recipe, which describes it."""
    return read_text(file_and_scale(name)[0]).partition("\n")[0].lstrip("# ")
