"""The name of a pretrained model from which training starts: `hf:FOLDER`. No torch."""

from pathlib import Path
from typing import Any

from arith.errors import UsageError
from arith.process.reading import read_json

ENCODING = "pretrained"  # the name of such a model's own encoding, in place of one from the catalogue
OWN = "own"  # its own positions, in the text of an encoding that adds to them: own+learned:std=0.02@coupled
PREFIX = "hf:"  # for what may come from elsewhere one day; a bare name would look like one on the Hugging Face hub
CONFIG = "config.json"
# What holds with such a model where nothing else is said. At the rate for fresh weights, 3e-3, SmolLM2-135M forgets
# English in 15 steps; and its tests take a hundred times as long as those of a model of a few layers.
DEFAULTS: dict[str, dict[str, Any]] = {
    "training": {"learning_rate": 5e-5, "batch": 32, "evaluate_samples": 64},
    "evaluation": {"digits": "1-6", "samples": 100, "long_samples": 100},
}


def keeps_own(encoding: str) -> bool:
    """Whether a text adds to a pretrained model's own positions.

    >>> keeps_own("own+fire@coupled"), keeps_own("own"), keeps_own("rope")
    (True, False, False)
    """
    parts = encoding.split("+")
    return OWN in parts and len(parts) > 1


def make_absolute(text: str) -> str:
    """Make the folder in a model's name absolute, so that the run can be resumed from another working folder.

    Args:
        text: the name, `hf:FOLDER`.

    Raises:
        UsageError: see `folder_of`.

    >>> make_absolute("gpt2")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: a pretrained model is named hf:FOLDER, a local one of Hugging Face; got 'gpt2'...
    """
    return f"{PREFIX}{folder_of(text).resolve()}"


def folder_of(text: str) -> Path:
    """The folder in a model's name.

    Args:
        text: the name, `hf:FOLDER`.

    Raises:
        UsageError: the name has no folder, the folder holds no model, or the model is arith's own.
    """
    folder = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX) or not folder:
        raise UsageError(
            f"a pretrained model is named hf:FOLDER, a local one of Hugging Face; got '{text}'. One of arith's own is "
            "named run:PLACE"
        )
    # Such a folder has a config.json too, but not the fields from which a pretrained model's shape is read.
    if is_model(Path(folder)):
        raise UsageError(
            f"{folder} is a model of arith's own, and hf: takes one of another kind. To begin with it: --init "
            f"run:{folder}"
        )
    if not (Path(folder) / CONFIG).is_file():
        raise UsageError(
            f"{folder} holds no model of Hugging Face (no config.json). Name a local folder, as save_pretrained writes "
            "it; nothing is downloaded"
        )
    return Path(folder)


def is_model(folder: Path) -> bool:
    """Whether `arith export` wrote the model in a folder."""
    try:
        values = read_json(folder / CONFIG)
    except UsageError:
        return False
    return isinstance(values, dict) and values.get("model_type") == "arith"
