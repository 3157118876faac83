"""The trained models that come with arith. No torch."""

from pathlib import Path

from arith.config.pretrained import CONFIG, is_model
from arith.config.schema import RunConfig
from arith.config.starting import SHIPPED
from arith.errors import UsageError, did_you_mean
from arith.experiment.inventory import claim
from arith.process.reading import read_json

FOLDER = SHIPPED
RESULTS = "results.json"
LARGEST = 2**20  # bytes of a shipped model's weights: everyone who installs arith downloads them


def names() -> list[str]:
    """The names of the shipped models."""
    return sorted(folder.name for folder in FOLDER.glob("*") if is_model(folder))


def line(name: str) -> str:
    """What a shipped model is, and what its results say."""
    run = read_json(FOLDER / name / CONFIG)["run"]
    return f"{run['task']}, {run['format']}, {claim(FOLDER / name / RESULTS)}"


def read_test_settings(folder: Path) -> dict[str, str]:
    """The task and the format that a model of ours is tested on; nothing of another's."""
    if not is_model(folder):
        return {}
    run = read_json(folder / CONFIG).get("run")
    if not isinstance(run, dict):
        raise UsageError(f"{folder / CONFIG} holds no run. One is written by arith export")
    config = RunConfig.of(run)
    return {"task": config.tested_task, "format": config.tested_format}


def find_model(place: Path) -> Path:
    """The folder at a path, or that of the shipped model of this name.

    >>> find_model(Path("runs/mine"))
    PosixPath('runs/mine')
    """
    # A path with a folder in it is no name. If it does not exist, whoever opens it says so.
    if place.exists() or len(place.parts) > 1:
        return place
    if place.name in names():
        return FOLDER / place.name
    raise UsageError(
        f"{place} holds no run, and no shipped model is called so.{did_you_mean(place.name, names())} "
        f"Shipped: {', '.join(names()) or 'none'}. A run is made by arith train"
    )


def for_problem(problem: str) -> str | None:
    """The shipped model of the task whose sign stands in a problem; the first by name, a plain `addition` before it."""
    from arith.catalogue.named import task_named

    fitting = []
    for name in names():
        task = task_named(read_json(FOLDER / name / CONFIG)["run"]["task"])
        if task.symbol and task.symbol in problem:
            fitting.append((name != task.name, name))  # False sorts first: a model named like its task
    return min(fitting)[1] if fitting else None


def results_place(model: Path) -> Path:
    """The default path for the results of `arith evaluate`: in the model's folder, or here for a shipped model."""
    # A shipped model lies in the installed package, which may not be writable and is replaced by every update.
    folder = find_model(model)
    return Path(f"{folder.name}-evaluation.json") if folder.parent == FOLDER else folder / "evaluation.json"
