"""How a sweep is described: a TOML file with a grid, or a recipe with one field changed at a time."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arith.config import recipe
from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.fields import pop_field, read_field
from arith.process.reading import read_toml
from arith.sweeps.plan import LEARNED, Equal, Setting, Sweep, label_of

SEEDS = ("model.seed", "data.seed", "evaluation.seed")


def load(path: Path) -> Sweep:
    """Read the sweep that a TOML file describes; `arith.sweeps.plan` shows one.

    Raises:
        UsageError: the file cannot be read, or describes no sweep that can be run.
    """
    values = read_toml(path)
    try:
        return _check(_read(path, values))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def ablation(base: RunConfig, name: str, changes: Sequence[tuple[str, Any]], seeds: Sequence[int]) -> Sweep:
    """A run, and the same with one field changed at a time."""
    points = [((setting, _hashable(value)),) for setting, value in changes]
    for setting, _ in changes:
        _check_name(setting)
    title = f"{name}, one setting changed at a time"
    return _check(Sweep(name, title, base, ((), *points), tuple(seeds)))


def _read(path: Path, values: dict[str, Any]) -> Sweep:
    # What is the sweep's is taken out; what is left is a configuration as in a recipe, with its own refusals.
    def pop(name: str, kind: Any, default: Any) -> Any:
        return pop_field(values, name, kind, default, "")

    title, equal, minutes = pop("title", str, ""), pop("equal", Equal, "samples"), pop("minutes", float, None)
    grid, search, start_from = pop("grid", dict, {}), pop("search", dict, {}), pop("recipe", str, None)
    if not grid:
        raise UsageError("it has no [grid]: name settings and the values they take, such as encoding = [...]")
    if (equal == "seconds") != (minutes is not None):
        raise UsageError('minutes of a run go with equal = "seconds", and that needs them')
    if "imports" in values:
        # Beside the sweep's file, wherever the command is given.
        imports = read_field(values["imports"], tuple[str, ...], "imports")
        values["imports"] = [str((path.parent / name).resolve()) for name in imports]
    start = RunConfig() if start_from is None else recipe.load_config(start_from)
    sweep = Sweep(
        name=path.stem,
        title=title,
        base=start.with_values(values),
        seeds=_seeds(grid.pop("seeds", [0])),
        points=_product(grid),
        search_seeds=_seeds(search.pop("seeds", [100])),
        groups=_read_list(search.pop("for", ["encoding"]), "for"),
        searched=_product(search) if search else (),
        equal=equal,
        minutes=minutes,
    )
    steps = [name for name in (*grid, *search) if name == "training.steps"]
    if steps and equal != "steps":
        raise UsageError('steps are set so that runs get alike; to compare numbers of them write equal = "steps"')
    return sweep


def _check(sweep: Sweep) -> Sweep:
    """The same sweep, if its curves can be told apart and its search is fair."""
    labels = [label_of(point) for point in sweep.points]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UsageError(f"two of the curves would be called '{twice}'. Leave one out")
    if not sweep.searched:
        return sweep
    # A setting chosen on the seeds that are compared is the best of several draws there: its advantage would be luck.
    both = set(sweep.seeds) & set(sweep.search_seeds)
    if both:
        raise UsageError(f"a search has seeds of its own, or it would choose on what is compared; got {sorted(both)}")
    unknown = [name for name in sweep.groups if name not in dict(sweep.points[0])]
    if unknown:
        raise UsageError(f"a search is made for each value of '{unknown[0]}', which the grid does not name")
    # Checked before the first run: a trial without such tests could not be chosen by them, hours later.
    for trial in dataclasses.replace(sweep, seeds=()).search_jobs():
        low, high = trial.config.data.digits
        suites = trial.config.evaluation.suites or LEARNED
        if not any(low <= digits <= high for digits in trial.config.evaluation.digits) or not {*suites} & {*LEARNED}:
            raise UsageError(
                f"a search chooses by accuracy at the trained {low}-{high} digits on random or unequal problems, "
                "and evaluation.digits or evaluation.suites have none of these"
            )
    return sweep


def _product(table: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Every combination of a table of lists."""
    for name, listed in table.items():
        _check_name(name)
        _read_list(listed, name)
    return tuple(itertools.product(*([(name, _hashable(value)) for value in table[name]] for name in table)))


def _check_name(name: str) -> None:
    if name in SEEDS:
        raise UsageError(f"'{name}' is set by seeds = [...], which holds for model and data alike")


def _seeds(listed: Any) -> tuple[int, ...]:
    seeds = _read_list(listed, "seeds")
    if not all(isinstance(seed, int) for seed in seeds):
        raise UsageError(f"seeds are whole numbers, got {listed!r}")
    return seeds


def _read_list(listed: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(listed, list) or not listed:
        raise UsageError(f"'{name}' takes a list of values, got {listed!r}")
    twice = [value for value in listed if listed.count(value) > 1]
    if twice:
        raise UsageError(f"'{name}' names {twice[0]!r} twice")
    return tuple(listed)


def _hashable(value: Any) -> Any:
    # Settings are keys of dictionaries, as in `Sweep.chosen`, and TOML gives lists.
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
