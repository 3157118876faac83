"""The models of a page: each loaded once, when it is first asked; the latest problems are kept."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arith.errors import RunError, UsageError
from arith.experiment import shipped
from arith.experiment.inventory import claim

if TYPE_CHECKING:
    from arith.experiment.experiment import Experiment
    from arith.model.transformer import Transformer
    from arith.play.trace import Trace

KEPT = 32  # problems whose layers stay in memory: a megabyte each at most
LONGEST = 240  # characters of a problem: twice the tokens that are shown


class Session:
    """What the page asks for.

    Args:
        places: for each model the name that the page calls it by, and its folder. Nothing else can be opened.
    """

    def __init__(self, places: Mapping[str, Path]) -> None:
        self.places = dict(places)
        self._loaded: dict[str, tuple[Experiment, Transformer]] = {}
        self._traces: OrderedDict[tuple[str, str], Trace] = OrderedDict()
        # One problem at a time: torch uses all threads for one, and a server has a thread for each request.
        self._lock = threading.Lock()

    def models(self) -> list[dict[str, str]]:
        """The models to choose from, each with a line that says what it is. No torch."""
        return [{"name": name, "line": _describe(place)} for name, place in self.places.items()]

    def warm(self) -> None:
        """Load the first model, while a person reads the page."""
        name = next(iter(self.places), None)
        if name is not None:
            with self._lock:
                self._load(name)

    def example(self, name: str) -> str:
        """A problem that a model can be asked."""
        from arith.data.typed import example_problem

        with self._lock:
            return example_problem(self._load(name)[0].tests.task)

    def show(self, name: str, problem: str, before: str | None = None) -> dict[str, Any]:
        """What a model does with a problem, and what is different from another one.

        Args:
            name: the model.
            problem: the problem as it is typed.
            before: the problem that it is compared with; None, or one that the model cannot read: nothing is.

        Raises:
            UsageError: there is no such model, or it cannot be asked this.
            RunError: the model cannot be loaded.
        """
        from arith.play.changes import compare

        with self._lock:
            found = self._trace(name, problem)
            config = self._load(name)[0].config
            changes = None
            if before is not None:
                try:
                    changes = compare(self._trace(name, before), found)
                except UsageError:
                    changes = None  # of another model's task, say
            about = {"task": config.tested_task, "format": config.tested_format, "encoding": config.encoding}
            return {"model": name, **about, **found.as_dict(), "changes": changes}

    def heads(self, name: str, problem: str, place: int, before: str | None = None) -> dict[str, Any]:
        """What the heads of one layer do, and did in another problem.

        Args:
            name, problem, before: as for `show`.
            place: the layer, in the order in which layers run.
        """
        with self._lock:
            found = self._trace(name, problem)
            if not 0 <= place < len(found.layers):
                raise UsageError(f"this model has {len(found.layers)} passes, and none with the number {place}")
            earlier = None
            if before is not None:
                try:
                    old = self._trace(name, before)
                except UsageError:
                    old = None
                if old is not None and old.prompt == found.prompt and place < len(old.layers):
                    earlier = [own["weights"] for own in old.heads(place)]
            return {"place": place, "heads": found.heads(place), "before": earlier}

    def try_digits(self, name: str, problem: str) -> dict[str, Any]:
        """Which digits of a problem decide which of its answer.

        Args:
            name, problem: as for `show`.
        """
        from arith.play.digits import try_digits

        _check_length(problem)
        with self._lock:
            return try_digits(*self._load(name), problem).as_dict()

    def _load(self, name: str) -> "tuple[Experiment, Transformer]":
        if name not in self.places:
            raise UsageError(f"there is no model '{name:.60}' here: {', '.join(self.places)}")
        if name not in self._loaded:
            from arith.experiment.experiment import Experiment
            from arith.experiment.exported import open_model

            run = open_model(self.places[name])
            experiment = Experiment.of(run.config)
            self._loaded[name] = (experiment, run.load_model(experiment)[0])
        return self._loaded[name]

    def _trace(self, name: str, problem: str) -> "Trace":
        from arith.play.trace import trace

        _check_length(problem)
        key = (name, problem)
        if key not in self._traces:
            self._traces[key] = trace(*self._load(name), problem)
        self._traces.move_to_end(key)
        while len(self._traces) > KEPT:
            self._traces.popitem(last=False)
        return self._traces[key]


def collect_places(given: tuple[Path, ...]) -> dict[str, Path]:
    """The models of a page by name: those that are given first, then all that come with arith.

    Raises:
        UsageError: a given one is no run, no exported folder and no shipped model.
    """
    places: dict[str, Path] = {}
    for place in given:
        folder = shipped.find_model(place)
        if folder.parent != shipped.FOLDER:
            # Read now, so that a mistake is told where it was typed and not on the page.
            from arith.experiment.exported import open_model

            open_model(folder)
        places[str(place)] = folder
    return places | {name: shipped.FOLDER / name for name in shipped.names() if name not in places}


def _check_length(problem: str) -> None:
    if len(problem) > LONGEST:
        raise UsageError(f"a problem has up to {LONGEST} characters here, got {len(problem)}. Ask arith ask")


def _describe(place: Path) -> str:
    """What a model's results say, or why they cannot be read."""
    try:
        return claim(place / shipped.RESULTS)
    except (UsageError, RunError) as error:
        return str(error)
