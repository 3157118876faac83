"""Where the weights of one of arith's own models begin: `run:PLACE`, or `curve:LABEL` in a recipe. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arith.config.pretrained import CONFIG, DEFAULTS, PREFIX, is_model
from arith.config.reading import expand_preset, merge_tables
from arith.errors import UsageError
from arith.process.reading import read_json

RUN = "run:"  # a run's folder, an exported one, or a shipped model's name
CURVE = "curve:"  # another curve of the same recipe; a plan of runs knows its folder
OWN = (RUN, CURVE)
SHIPPED = Path(__file__).parent.parent / "shipped"
# What a model goes on with. Seeds, data and training are its own.
KEPT = ("task", "format", "encoding", "imports", "trace", "auxiliary")


def place_of(init: str) -> Path:
    """The folder of `run:PLACE`.

    >>> place_of("run:runs/sums"), place_of("run:addition").parent.name
    (PosixPath('runs/sums'), 'shipped')
    """
    place = Path(init.removeprefix(RUN))
    named = SHIPPED / place
    return named if not place.exists() and len(place.parts) == 1 and is_model(named) else place


def make_absolute(init: str) -> str:
    """Make the folder of `run:PLACE` absolute, so that the run can be resumed from another working folder.

    >>> make_absolute("run:addition")
    'run:addition'
    """
    place = place_of(init)
    # A shipped model keeps its name: the place of an installed package says nothing on another machine.
    return init if place.parent == SHIPPED else f"{RUN}{place.resolve()}"


def fill_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, completed by where they begin: `run:PLACE` has task, format, encoding and shape, `hf:FOLDER` defaults.

    Raises:
        UsageError: there is no such model.
    """
    values = expand_preset(values)
    model = values.get("model")
    init = model.get("init") if isinstance(model, Mapping) else None
    if isinstance(init, str) and init.startswith(PREFIX):
        return merge_tables(DEFAULTS, values)
    if not isinstance(init, str) or not init.startswith(RUN):
        return values
    return go_on_from(_described(place_of(init)), values)


def go_on_from(start: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, and for those of task, format, encoding and shape that are not given another run's.

    Args:
        start: the settings of the run that is begun with.
        values: the settings that are given.

    >>> go_on_from({"encoding": "rope", "model": {"width": 32, "seed": 1}}, {"model": {"seed": 2}})
    {'encoding': 'rope', 'model': {'width': 32, 'seed': 2}}
    """
    kept = {name: start[name] for name in KEPT if name in start}
    shape = {name: value for name, value in start["model"].items() if name not in ("seed", "init", "init_step")}
    return merge_tables({**kept, "model": shape}, expand_preset(values))


def _described(place: Path) -> dict[str, Any]:
    if is_model(place):
        described = read_json(place / CONFIG).get("run")
    elif (place / "run.json").is_file():
        described = read_json(place / "run.json").get("config")
    else:
        raise UsageError(
            f"model.init={RUN}{place} holds no run (no run.json), and no shipped model is called so. Name the folder "
            "of a run or of an exported model, or one of arith list shipped"
        )
    if not isinstance(described, dict) or not isinstance(described.get("model"), dict):
        raise UsageError(f"model.init={RUN}{place} describes no run. A run is made by arith train")
    return described
