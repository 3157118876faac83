"""Many runs from one TOML file: the product of what a grid names, and a fair search before it.

    recipe = "extrapolation:rope"            # or settings as in a recipe; they hold for all runs
    title = "..."
    equal = "samples"                        # what runs are given alike: samples, flops, seconds; or steps as they are
    minutes = 0.5                            # of training for each run, for seconds

    [grid]
    encoding = ["rope", "t5", "learned"]
    "data.digits" = ["1-3", "1-4"]
    seeds = [0, 1, 2]                        # of model and data

    [search]                                 # for each encoding, or each value of what `for` names
    for = ["encoding"]
    "training.learning_rate" = [1e-3, 3e-3]
    seeds = [100]

A search tries the same settings for everything that is compared, on seeds and test problems of its own, and chooses
by accuracy in distribution: test lengths beyond training are not looked at.
"""

import dataclasses
import hashlib
import itertools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from arith.config.reading import merge_tables, nest_setting
from arith.config.schema import RunConfig
from arith.experiment.run import FREE_ON_RESUME
from arith.process.files import as_file_name
from arith.results.schema import Cell

Equal = Literal["samples", "flops", "seconds", "steps"]
Setting = tuple[tuple[str, Any], ...]  # names with values, as in ("encoding", "rope")
LEARNED = ("random", "unequal")  # suites that show how well training lengths are learned


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        label: the curve that it belongs to.
        config: the run's configuration.
        folder: the run's folder, below the sweep's.
    """

    label: str
    config: RunConfig
    folder: str


@dataclass(frozen=True)
class Sweep:
    """What is compared, and how.

    Args:
        base: settings of all runs.
        points: what is compared: the settings of each curve.
        seeds: the seeds of every curve.
        searched: the settings that each group tries.
        groups: the names of settings for each of whose values a search is made.
        search_seeds: the seeds on which they are tried.
        equal: what every run gets the same amount of.
        minutes: training time of a run, where seconds are equal.
        chosen: the best settings that the search found for each group.
        steps: settings, by a run's configuration, that give it as much as the others; None: steps as configured.
    """

    name: str
    title: str
    base: RunConfig
    points: tuple[Setting, ...]
    seeds: tuple[int, ...]
    searched: tuple[Setting, ...] = ()
    groups: tuple[str, ...] = ("encoding",)
    search_seeds: tuple[int, ...] = (100,)
    equal: Equal = "steps"
    minutes: float | None = None
    chosen: Mapping[Setting, Setting] = field(default_factory=dict)
    steps: Callable[[RunConfig], Mapping[str, Any]] | None = None

    def search_jobs(self) -> list[Job]:
        """The trials of the search."""
        trials = itertools.product(self._list_groups(), self.searched, self.search_seeds)
        return [self._trial(*trial) for trial in trials]

    def jobs(self) -> list[Job]:
        """The runs that are compared, with what the search chose for each."""
        return [self._job(point, seed) for point, seed in itertools.product(self.points, self.seeds)]

    def with_choice(self, results: Mapping[str, Sequence[Cell]]) -> "Sweep":
        """The same sweep with the best of each group's trials.

        Args:
            results: the cells of each trial, by its folder.
        """
        chosen = {}
        for group in self._list_groups():
            # The mean over seeds, not the best of them: a setting that works once in three times is no good setting.
            scores = {}
            for tried in self.searched:
                trials = [self._trial(group, tried, seed) for seed in self.search_seeds]
                scores[tried] = statistics.mean(in_distribution(results[trial.folder]) for trial in trials)
            chosen[group] = max(scores, key=lambda tried: scores[tried])  # of equals the first that is listed
        return dataclasses.replace(self, chosen=chosen)

    def configure(self, settings: Setting) -> RunConfig:
        """The configuration of a run with these settings."""
        config = self.base.with_values(_nest(settings))
        return config if self.steps is None else config.with_values(self.steps(config))

    def _list_groups(self) -> list[Setting]:
        return list(dict.fromkeys(map(self._group, self.points)))

    def _group(self, point: Setting) -> Setting:
        return tuple((name, value) for name, value in point if name in self.groups)

    def _job(self, point: Setting, seed: int) -> Job:
        extra = self.chosen.get(self._group(point), ())
        return self._make_job(label_of(point), (*point, *extra, *_settings_of_seed(seed)), seed)

    def _trial(self, group: Setting, tried: Setting, seed: int) -> Job:
        # Test problems of their own: the runs that are compared are not chosen on the problems they are tested on.
        others = ("evaluation.seed", self.base.evaluation.seed + 1)
        return self._make_job(label_of((*group, *tried)), (*group, *tried, others, *_settings_of_seed(seed)), seed)

    def _make_job(self, label: str, settings: Setting, seed: int) -> Job:
        config = self.configure(settings)
        # The digest keeps runs apart whose labels are alike, and lets an edited grid find what is still the same.
        return Job(label, config, f"{as_file_name(label)}-{seed}-{digest(config)}")


def in_distribution(cells: Sequence[Cell]) -> float:
    """Mean accuracy at the trained lengths, on random and unequal problems."""
    low, high = cells[0].train_lengths
    return statistics.mean(cell.accuracy for cell in cells if low <= cell.digits <= high and cell.suite in LEARNED)


def digest(config: RunConfig) -> str:
    """Eight hexadecimal digits of a hash of what decides a run's weights; how it is watched and tested is left out.

    >>> digest(RunConfig()) == digest(RunConfig.of({"training": {"log_every": 7}}))
    True
    """
    # 32 bits are enough: a folder's name has the run's label and seed too, and `Run.check_same` notices the rest.
    values = {name: value for name, value in _flat(config.as_dict()) if name not in FREE_ON_RESUME}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def label_of(settings: Setting) -> str:
    """The name of a curve: what sets it apart, with the short names of its settings where these are unique.

    >>> label_of((("encoding", "rope"), ("training.learning_rate", 0.001)))
    'rope, learning rate 0.001'
    >>> label_of((("data.samples", 9), ("evaluation.samples", 5)))
    'data.samples 9, evaluation.samples 5'
    """
    last = [name.rpartition(".")[2] for name, _ in settings]
    named = []
    for (name, value), short in zip(settings, last, strict=True):
        if name in ("encoding", "format", "task"):
            named.append(str(value))
        else:
            named.append(f"{short.replace('_', ' ') if last.count(short) == 1 else name} {value}")
    return ", ".join(named) or "as it is"


def _settings_of_seed(seed: int) -> Setting:
    # One seed for both: a curve's spread is then over models and data together, as a published claim's is.
    return ("model.seed", seed), ("data.seed", seed)


def _nest(settings: Setting) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in settings:
        values = merge_tables(values, nest_setting(name, value))
    return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return found
